// grpc-go with protobuf, whose StringValue stands for request and reply. `main serve` and `main call ADDRESS`, as ../peer.mjs.
package main

import (
	"context"
	"net"
	"os"

	"../goplay"
	"github.com/golang/protobuf/ptypes/wrappers"
	"google.golang.org/grpc"
)

const method = "/bench.Greeter/Hello"

type greeter interface{}

func hello(_ interface{}, ctx context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
	request := new(wrappers.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	return &wrappers.StringValue{Value: "hello " + request.Value}, nil
}

var service = grpc.ServiceDesc{
	ServiceName: "bench.Greeter",
	HandlerType: (*greeter)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Hello", Handler: hello}},
}

func main() {
	if os.Args[1] == "serve" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		goplay.Must(err)
		server := grpc.NewServer()
		server.RegisterService(&service, struct{}{})
		go server.Serve(listener)
		goplay.Serve(listener.Addr().String())
		return
	}
	conn, err := grpc.Dial(os.Args[2], grpc.WithInsecure(), grpc.WithBlock())
	goplay.Must(err)
	request := &wrappers.StringValue{Value: "world"}
	goplay.Call(func() string {
		reply := new(wrappers.StringValue)
		goplay.Must(conn.Invoke(context.Background(), method, request, reply))
		return reply.Value
	})
}
