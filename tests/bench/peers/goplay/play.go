// Package goplay is what the peers in Go have in common: lines of JSON in, lines of JSON out, and the load as in ../load.ts.
package goplay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const sampleEvery = 17

type load struct {
	InFlight int     `json:"inFlight"`
	Ms       float64 `json:"ms"`
}

type measured struct {
	Calls  int64   `json:"calls"`
	Ms     float64 `json:"ms"`
	P50Us  float64 `json:"p50Us"`
	P99Us  float64 `json:"p99Us"`
	CPUUs  int64   `json:"cpuUs"`
	Writes int     `json:"writes"`
}

// Must ends the program on an error.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Serve says where it listens, and then what it has used up.
func Serve(address string) {
	answer(address, func([]byte) any { return map[string]int64{"cpuUs": cpuUs(), "writes": 0} })
}

// Call drives the loads that it is given.
func Call(call func() string) {
	if call() != "hello world" {
		Must(fmt.Errorf("cannot measure: the reply was wrong"))
	}
	answer("ready", func(question []byte) any {
		var l load
		Must(json.Unmarshal(question, &l))
		before := cpuUs()
		m := drive(call, l)
		m.CPUUs = cpuUs() - before
		return m
	})
}

func answer(hello string, reply func([]byte) any) {
	say(hello)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		say(reply(lines.Bytes()))
	}
}

func say(value any) {
	text, err := json.Marshal(value)
	Must(err)
	fmt.Println(string(text))
}

func cpuUs() int64 {
	var u syscall.Rusage
	Must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return (u.Utime.Sec+u.Stime.Sec)*1_000_000 + int64(u.Utime.Usec+u.Stime.Usec)
}

func drive(call func() string, l load) measured {
	every := sampleEvery
	if l.InFlight == 1 {
		every = 1
	}
	var calls int64
	var over atomic.Bool
	var lanes sync.WaitGroup
	samples := make([][]float64, l.InFlight)
	from := time.Now()
	for lane := 0; lane < l.InFlight; lane++ {
		lanes.Add(1)
		go func(lane int) {
			defer lanes.Done()
			for turn := lane % every; !over.Load(); turn++ {
				if turn%every != 0 {
					call()
				} else {
					begun := time.Now()
					call()
					samples[lane] = append(samples[lane], float64(time.Since(begun).Nanoseconds())/1000)
				}
				atomic.AddInt64(&calls, 1)
			}
		}(lane)
	}
	time.Sleep(time.Duration(l.Ms * float64(time.Millisecond)))
	over.Store(true)
	done, ms := atomic.LoadInt64(&calls), float64(time.Since(from).Microseconds())/1000
	lanes.Wait()
	var all []float64
	for _, some := range samples {
		all = append(all, some...)
	}
	sort.Float64s(all)
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return all[min(len(all)-1, int(float64(len(all))*share))]
	}
	return measured{Calls: done, Ms: ms, P50Us: at(0.5), P99Us: at(0.99)}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
