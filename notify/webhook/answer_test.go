package webhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
)

func TestAnswers(t *testing.T) {
	type want struct {
		result, reason string
		gone, final    bool
		paused         time.Duration
	}
	tests := []struct {
		status     int
		retryAfter string
		body       string
		want       want // no result: delivered
	}{
		{status: 200}, {status: 201, body: "thanks"}, {status: 202, retryAfter: "7"}, {status: 204}, {status: 299},

		{status: 300, want: want{result: "3xx", reason: "answered 300 Multiple Choices: redirects are not followed"}},
		{status: 301, want: want{result: "3xx", reason: "answered 301 Moved Permanently: redirects are not followed"}},
		{status: 302, want: want{result: "3xx", reason: "answered 302 Found: redirects are not followed"}},
		{status: 304, want: want{result: "3xx", reason: "answered 304 Not Modified: redirects are not followed"}},
		{status: 307, want: want{result: "3xx", reason: "answered 307 Temporary Redirect: redirects are not followed"}},
		{status: 308, want: want{result: "3xx", reason: "answered 308 Permanent Redirect: redirects are not followed"}},

		{status: 400, want: want{result: "4xx", reason: "answered 400 Bad Request", final: true}},
		{status: 401, want: want{result: "4xx", reason: "answered 401 Unauthorized"}},
		{status: 404, body: "no such hook\nsee the manual", want: want{result: "4xx", reason: "answered 404 Not Found: no such hook"}},
		{status: 407, want: want{result: "4xx", reason: "answered 407 Proxy Authentication Required"}},
		{status: 408, want: want{result: "4xx", reason: "answered 408 Request Timeout"}},
		{status: 410, want: want{result: "410", reason: "answered 410 Gone", gone: true}},
		{status: 429, want: want{result: "429", reason: "answered 429 Too Many Requests"}},
		{status: 429, retryAfter: "7", want: want{result: "429", reason: "answered 429 Too Many Requests", paused: 7 * time.Second}},
		{status: 429, retryAfter: "31536000", want: want{result: "429", reason: "answered 429 Too Many Requests", paused: 24 * time.Hour}},
		{status: 429, retryAfter: "soon", want: want{result: "429", reason: "answered 429 Too Many Requests"}},
		{status: 499, want: want{result: "4xx", reason: "answered 499"}},

		{status: 500, body: "\r\n\t\x1b[31mno\tdatabase\x00\u202e\xff\r\n", want: want{result: "5xx", reason: "answered 500 Internal Server Error: [31mno database"}},
		{status: 502, want: want{result: "5xx", reason: "answered 502 Bad Gateway"}},
		{status: 502, retryAfter: "7", want: want{result: "5xx", reason: "answered 502 Bad Gateway"}},
		{status: 503, want: want{result: "5xx", reason: "answered 503 Service Unavailable", final: true}},
		{status: 503, retryAfter: "120", want: want{result: "5xx", reason: "answered 503 Service Unavailable", final: true, paused: 2 * time.Minute}},
		{status: 599, body: strings.Repeat("é", 150), want: want{result: "5xx", reason: "answered 599: " + strings.Repeat("é", 100) + "…"}},
		{status: 600, want: want{result: "other", reason: "answered 600"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.retryAfter), func(t *testing.T) {
			answer := notifytest.Answer{Status: tt.status, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}, Body: tt.body}
			if tt.retryAfter != "" {
				answer.Header.Set("Retry-After", tt.retryAfter)
			}
			r, url := receive(t, answer)
			c := config(url)
			c.FinalStatus = []int{400, 503}
			before := time.Now()
			status, err := sender(t, c).Send(t.Context(), delivery())
			if status != tt.status {
				t.Errorf("Send = %d, want %d", status, tt.status)
			}
			if n := len(r.Deliveries()); n != 1 {
				t.Errorf("requests = %d, want 1", n)
			}
			if tt.want.result == "" {
				if err != nil {
					t.Errorf("Send = %v, want nil", err)
				}
				return
			}
			got := failed(t, err)
			if got.Cause.String() != tt.want.result || got.Reason != tt.want.reason || got.Gone != tt.want.gone ||
				got.Final != tt.want.final || !got.Cause.Counts() {
				t.Errorf("Send = %+v, want %+v", got, tt.want)
			}
			if earliest := before.Add(tt.want.paused); tt.want.paused == 0 && !got.RetryAfter.IsZero() ||
				tt.want.paused != 0 && (got.RetryAfter.Before(earliest) || got.RetryAfter.After(earliest.Add(hang))) {
				t.Errorf("RetryAfter = %v, want %v from now", got.RetryAfter, tt.want.paused)
			}
		})
	}
}

// A redirect leads nowhere, be it to this very receiver.
func TestRedirectIsNotFollowed(t *testing.T) {
	other, elsewhere := receive(t, notifytest.Answer{Status: 204})
	for _, status := range []int{301, 302, 303, 307, 308} {
		_, url := receive(t, notifytest.Answer{Status: status, Header: http.Header{"Location": {elsewhere}}})
		if got, err := sender(t, config(url)).Send(t.Context(), delivery()); got != status || err == nil {
			t.Errorf("Send to a %d = %d, %v, want a failure", status, got, err)
		}
	}
	if got := other.Deliveries(); len(got) != 0 {
		t.Errorf("requests elsewhere = %d, want none", len(got))
	}
}

// Once its header has come, an answer's body changes nothing, and soon ends.
func TestSlowBody(t *testing.T) {
	for status, want := range map[int]string{200: "", 500: "answered 500 Internal Server Error"} {
		_, url := receive(t, notifytest.Answer{Status: status, Body: "dripping", Drip: time.Hour})
		start := time.Now()
		got, err := sender(t, config(url)).Send(t.Context(), delivery())
		if took := time.Since(start); took > hang/2 { // a timeout of its own ends it, long before the attempt's
			t.Errorf("Send took %v to read the body", took)
		}
		if got != status || (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("Send = %d, %v, want %d, %q", got, err, status, want)
		}
	}
}

// What is shown of a body shows how much of it is read.
func TestLongBody(t *testing.T) {
	const most = 16 << 10
	for before, want := range map[int]string{most - 4: "answered 418 I'm a teapot: last", most: "answered 418 I'm a teapot"} {
		_, url := receive(t, notifytest.Answer{Status: 418, Body: strings.Repeat(" ", before) + "last"})
		_, err := sender(t, config(url)).Send(t.Context(), delivery())
		if got := failed(t, err).Reason; got != want {
			t.Errorf("Send with %d bytes before the text = %q, want %q", before, got, want)
		}
	}
}

func TestEndlessBody(t *testing.T) {
	ended := make(chan int64, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		var written int64
		for {
			n, err := w.Write(make([]byte, 4<<10))
			if written += int64(n); err != nil {
				ended <- written
				return
			}
		}
	})
	if status, err := sender(t, config(url)).Send(t.Context(), delivery()); status != 200 || err != nil {
		t.Errorf("Send = %d, %v, want 200, nil", status, err)
	}
	select {
	case <-ended: // as the connection was closed
	case <-time.After(hang):
		t.Error("the receiver is still writing, want its connection closed")
	}
}

func TestPackedBodyIsNotUnpacked(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprint(w, "a bomb")
	w.Close()
	_, url := receive(t, notifytest.Answer{Status: 500, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: packed.String()})
	_, err := sender(t, config(url)).Send(t.Context(), delivery())
	if got, want := failed(t, err).Reason, "answered 500 Internal Server Error"; got != want {
		t.Errorf("Send = %q, want %q", got, want)
	}
}

// Answers that a decent server would not give, in front of the real one.
func TestRawAnswers(t *testing.T) {
	const good = "HTTP/1.1 204 No Content\r\n\r\n"
	tests := []struct {
		name, answer string
		status       int
		reason       string // in the error; "" for none
	}{
		{"early hints", "HTTP/1.1 103 Early Hints\r\n\r\n" + good, 204, ""},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 101, "answered 101"},
		{"interim answers for ever", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1000)+"\r\n\r\n", 1000), 0, "exceeded"},
		{"10 MB of header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10<<20) + "\r\n\r\n", 0, "exceeded"},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n", 0, "malformed"},
		{"no answer", "", 0, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := raw(t, func(conn net.Conn, r *bufio.Reader) {
				request, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				io.Copy(io.Discard, request.Body)
				io.WriteString(conn, tt.answer)
				if tt.answer != "" {
					io.Copy(io.Discard, r) // stays until the sender closes
				}
			})
			status, err := sender(t, config(url)).Send(t.Context(), delivery())
			if status != tt.status || (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("Send = %d, %v, want %d, %q", status, err, tt.status, tt.reason)
			}
			if err != nil && (failed(t, err).Cause.String() != "other" || !failed(t, err).Cause.Counts()) {
				t.Errorf("Send = %+v, want a charged failure, other", failed(t, err))
			}
		})
	}
}
