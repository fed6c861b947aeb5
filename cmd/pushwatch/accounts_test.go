package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	"go.uber.org/zap"

	"pushwatch/watcher/setting"
)

// BenchmarkAccounts runs a daemon with 200 accounts of 100 live pushes each, at
// 20 polls a second for every account, and then sends as many requests a second by
// the bare SDK, from as many accounts, to the same service: one that costs next to
// nothing. It reports the polls a second, the CPU that each took, and their ratio;
// the service's own CPU is in both.
func BenchmarkAccounts(b *testing.B) {
	const accounts, tasks = 200, 100
	service := startBareService(b)

	s := defaults()
	s.HTTP.Listen = "127.0.0.1:0"
	s.Store.URL = storeURL{setting.Plain("sqlite:" + filepath.Join(b.TempDir(), "pushwatch.db"))}
	for i := range accounts {
		app := int64(1400000001 + i)
		a := accountSettings{Name: fmt.Sprintf("school-%d", i), SecretID: setting.Plain("AKIDschool"), SecretKey: setting.Plain("key"), SDKAppIDs: []int64{app}}
		a.setDefaults()
		a.Endpoint = service.url
		s.Accounts = append(s.Accounts, a)
		for j := range tasks {
			s.Tasks = append(s.Tasks, taskSettings{SDKAppID: app, TaskID: fmt.Sprintf("class-%d", j)})
		}
	}
	for b.Loop() {
		pollsPerSecond, poll := daemonCost(b, s, service)
		callsPerSecond, call := sdkCost(b, accounts, pollsPerSecond, service)
		b.ReportMetric(pollsPerSecond, "polls/s")
		b.ReportMetric(float64(poll.Microseconds()), "µs-CPU/poll")
		b.ReportMetric(callsPerSecond, "SDK-calls/s")
		b.ReportMetric(float64(call.Microseconds()), "µs-CPU/SDK-call")
		b.ReportMetric(float64(poll)/float64(call), "ratio")
	}
	b.ReportMetric(0, "ns/op") // the clock decides it
}

const (
	warmUp   = 2 * time.Second // each connection is open
	measured = 10 * time.Second
)

// daemonCost returns how many polls a second a daemon makes, and what CPU each takes.
func daemonCost(b *testing.B, s settings, service *bareService) (perSecond float64, each time.Duration) {
	d, err := newDaemon(b.Context(), s, zap.NewNop(), zap.NewAtomicLevel())
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	ctx, cancel := context.WithCancel(b.Context())
	var life sync.WaitGroup
	life.Go(func() {
		if err := d.run(ctx, func() {}, nil); err != nil {
			b.Error(err)
		}
	})
	defer life.Wait()
	defer cancel()
	for seen := 2 * int64(len(s.Tasks)); service.requests.Load() < seen; { // every start is told by then
		time.Sleep(time.Second)
	}
	time.Sleep(warmUp)
	return service.cost(measured)
}

// sdkCost is daemonCost for requests by the SDK alone, evenly spread.
func sdkCost(b *testing.B, accounts int, rate float64, service *bareService) (perSecond float64, each time.Duration) {
	ctx, cancel := context.WithCancel(b.Context())
	var life sync.WaitGroup
	defer life.Wait()
	defer cancel()
	for i := range accounts {
		p := profile.NewClientProfile()
		p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "http", strings.TrimPrefix(service.url, "http://")
		client := common.NewCommonClient(common.NewCredential("AKIDschool", "key"), "ap-singapore", p)
		life.Go(func() {
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
	return service.cost(measured)
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

// A bareService answers every request alike. It reads no more of HTTP than where a
// request ends.
type bareService struct {
	url      string
	requests atomic.Int64
}

func startBareService(b *testing.B) *bareService {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &bareService{url: "http://" + l.Addr().String()}
	var life sync.WaitGroup
	life.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn) // until the client hangs up
		}
	})
	b.Cleanup(func() { l.Close(); life.Wait() })
	return s
}

func (s *bareService) serve(conn net.Conn) {
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
		s.requests.Add(1)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// cost waits, and returns how many requests a second came meanwhile, and how much
// CPU this process took for each.
func (s *bareService) cost(wait time.Duration) (perSecond float64, each time.Duration) {
	cpu := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	n, begun, used := s.requests.Load(), time.Now(), cpu()
	time.Sleep(wait)
	requests := s.requests.Load() - n
	return float64(requests) / time.Since(begun).Seconds(), (cpu() - used) / time.Duration(max(1, requests))
}
