// Go's net/rpc with gob. `main serve` and `main call ADDRESS`, as ../peer.mjs.
package main

import (
	"net"
	"net/rpc"
	"os"

	"../goplay"
)

type Request struct{ Name string }
type Reply struct{ Msg string }
type Greeter struct{}

func (Greeter) Hello(request Request, reply *Reply) error {
	reply.Msg = "hello " + request.Name
	return nil
}

func main() {
	if os.Args[1] == "serve" {
		rpc.Register(Greeter{})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		goplay.Must(err)
		go rpc.Accept(listener)
		goplay.Serve(listener.Addr().String())
		return
	}
	client, err := rpc.Dial("tcp", os.Args[2])
	goplay.Must(err)
	goplay.Call(func() string {
		var reply Reply
		goplay.Must(client.Call("Greeter.Hello", Request{"world"}, &reply))
		return reply.Msg
	})
}
