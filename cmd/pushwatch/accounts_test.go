package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher/setting"
)

// BenchmarkAccounts runs a daemon with many accounts at 20 polls a second each, and then
// sends as many requests a second by the bare SDK, from as many accounts, to a service in
// another process. It reports the polls a second, the CPU and the allocations that each
// took, and the ratio of the CPU: in all, and without the garbage collector's part, which
// is smaller for the daemon since it collects less often over its larger heap. The
// accounts offer a little more than what is polled, since no second may see more than 20
// of an account.
//
// 205 accounts of 100 pushes show what a poll costs. 100 of 1,000, over two periods of
// checkpoints, show what it costs to keep the times of so many; MB-RSS is the most
// resident memory since the start.
func BenchmarkAccounts(b *testing.B) {
	for _, shape := range []struct {
		accounts, tasks int
		measured        time.Duration
		store           func(*testing.B) string
		name            string
	}{
		{205, 100, 10 * time.Second, sqliteOf, "sqlite"},
		{100, 1000, 65 * time.Second, sqliteOf, "sqlite"},
		{100, 1000, 65 * time.Second, func(b *testing.B) string { return storetest.Postgres(b) }, "postgres"},
	} {
		b.Run(fmt.Sprintf("%dx%d/%s", shape.accounts, shape.tasks, shape.name), func(b *testing.B) {
			for b.Loop() {
				rss := watchMemory()
				poll := daemonCost(b, shape.store(b), shape.accounts, shape.tasks, shape.measured)
				b.ReportMetric(rss(), "MB-RSS")
				call := sdkCost(b, shape.accounts, poll.perSecond)
				b.ReportMetric(poll.perSecond, "polls/s")
				b.ReportMetric(poll.cpu, "µs-CPU/poll")
				b.ReportMetric(poll.allocs, "allocs/poll")
				b.ReportMetric(call.perSecond, "SDK-calls/s")
				b.ReportMetric(call.cpu, "µs-CPU/SDK-call")
				b.ReportMetric(call.allocs, "allocs/SDK-call")
				b.ReportMetric(poll.cpu/call.cpu, "ratio")
				b.ReportMetric((poll.cpu-poll.gc)/(call.cpu-call.gc), "ratio-without-GC")
			}
			b.ReportMetric(0, "ns/op") // the clock decides it
		})
	}
}

func sqliteOf(b *testing.B) string { return sqliteURL(b) }

const (
	warmUp   = 2 * time.Second  // each connection is open
	settling = 32 * time.Second // those that only the rush of the start took are closed again
)

// watchMemory returns a function that ends the watching and returns the most resident
// memory of this process meanwhile, in megabytes.
func watchMemory() (most func() float64) {
	runtime.GC()
	debug.FreeOSMemory() // what came before
	var pages int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for ticks := time.Tick(50 * time.Millisecond); ; {
			text, err := os.ReadFile("/proc/self/statm")
			var size, resident int64
			if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
				pages = max(pages, resident)
			}
			if err != nil {
				return // there is no /proc
			}
			select {
			case <-done:
				return
			case <-ticks:
			}
		}
	}()
	return func() float64 {
		close(done)
		<-ended
		return float64(pages) * float64(os.Getpagesize()) / 1e6
	}
}

// manyAccounts adds accounts, the first of that number, with tasks of a service that never
// change.
func manyAccounts(s *settings, service *bareService, first, accounts, tasks int) {
	for i := range accounts {
		account := simAccount(testAccount(first+i), "http://"+service.address)
		s.Accounts = append(s.Accounts, account)
		for j := range tasks {
			s.Tasks = append(s.Tasks, taskSettings{SDKAppID: account.SDKAppIDs[0], TaskID: fmt.Sprintf("class-%d", j)})
		}
	}
}

// daemonCost returns what a daemon's polls cost.
func daemonCost(b *testing.B, store string, accounts, tasks int, measured time.Duration) cost {
	service := startBareService(b)
	defer service.stop()
	s := localSettings(b)
	s.Store.URL = storeURL{Secret: setting.Plain(store)}
	manyAccounts(&s, service, 0, accounts, tasks)
	_, _, stop := runDaemon(b, s, nil)
	defer stop()
	for service.requests() < 2*len(s.Tasks) { // every start is told by then
		time.Sleep(time.Second)
	}
	time.Sleep(settling)
	return service.measure(measured)
}

// sdkCost is daemonCost for requests by the SDK alone, evenly spread.
func sdkCost(b *testing.B, accounts int, rate float64) cost {
	service := startBareService(b)
	defer service.stop()
	ctx, cancel := context.WithCancel(b.Context())
	var life sync.WaitGroup
	defer life.Wait()
	defer cancel()
	for i := range accounts {
		p := profile.NewClientProfile()
		p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "http", service.address
		client := common.NewCommonClient(common.NewCredential("AKIDschool", "key"), "ap-singapore", p)
		life.Go(func() {
			time.Sleep(time.Duration(float64(i) / rate * float64(time.Second)))
			ticks := time.NewTicker(time.Duration(float64(accounts) / rate * float64(time.Second)))
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
				}
				request := &bareRequest{BaseRequest: new(tchttp.BaseRequest), SdkAppId: int64(1400000001 + i), TaskId: "class-1"}
				request.Init().WithApiInfo("tiw", "2019-09-19", "DescribeWhiteboardPush")
				response := &bareResponse{BaseResponse: new(tchttp.BaseResponse)}
				if err := client.Send(request, response); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	time.Sleep(warmUp)
	return service.measure(10 * time.Second)
}

type bareRequest struct {
	*tchttp.BaseRequest
	SdkAppId int64
	TaskId   string
}

type bareResponse struct {
	*tchttp.BaseResponse
	Response *struct {
		Status, FinishReason, GroupId, PushUserId, Backup, RequestId  *string
		RoomId, PushStartTime, PushStopTime, ExceptionCnt, IMSyncTime *int64
	}
}

// A bareService is a process that answers every request alike, so that what this
// process takes is the client's alone.
type bareService struct {
	b       testing.TB
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	address string
}

func startBareService(b testing.TB) *bareService {
	s := &bareService{b: b, process: exec.Command("bareservice")}
	in, err := s.process.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		b.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	s.address = s.line()
	return s
}

// line reads what the process prints next.
func (s *bareService) line() string {
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// stop ends the process, and with it the connections to it.
func (s *bareService) stop() {
	s.in.Close()
	if err := s.process.Wait(); err != nil {
		s.b.Error(err)
	}
}

// requests returns how many have come.
func (s *bareService) requests() int {
	fmt.Fprintln(s.in)
	n, err := strconv.Atoi(s.line())
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}

// A cost is what requests take of this process.
type cost struct {
	perSecond float64 // requests
	cpu       float64 // microseconds for each
	gc        float64 // of cpu, as the runtime estimates it after each collection
	allocs    float64 // for each
}

// measure waits, and returns what the requests that came meanwhile have cost.
func (s *bareService) measure(measured time.Duration) cost {
	runtime.GC() // what came before is not theirs
	used := func() (cpu, gc float64, allocs uint64) {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		samples := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/gc/heap/allocs:objects"}}
		metrics.Read(samples)
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3, samples[0].Value.Float64() * 1e6, samples[1].Value.Uint64()
	}
	begun, n := time.Now(), s.requests()
	cpu, gc, allocs := used()
	time.Sleep(measured)
	cpuThen, gcThen, allocsThen := used()
	requests := float64(max(1, s.requests()-n))
	return cost{
		perSecond: requests / time.Since(begun).Seconds(),
		cpu:       (cpuThen - cpu) / requests,
		gc:        (gcThen - gc) / requests,
		allocs:    float64(allocsThen-allocs) / requests,
	}
}

// bareServiceMain is the process. It prints its address, how many requests have come
// whenever it is asked, and ends with its input. It reads no more of HTTP than where
// a request ends.
func bareServiceMain() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	var requests atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go answerAlike(conn, &requests) // until the client hangs up
		}
	}()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		fmt.Println(requests.Load())
	}
}

func answerAlike(conn net.Conn, requests *atomic.Int64) {
	defer conn.Close()
	body := `{"Response":{"Status":"PUSHING","FinishReason":"","RoomId":880528,"GroupId":"880528","PushUserId":"tic_push_user_880528",` +
		`"PushStartTime":1610591726,"PushStopTime":0,"ExceptionCnt":0,"IMSyncTime":0,"Backup":"","RequestId":"d290f1ee-6c54-4b01-90e6-d701748f0851"}}`
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	r := bufio.NewReader(conn)
	for {
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Content-Length") {
				fmt.Sscan(value, &length)
			}
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		requests.Add(1)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
