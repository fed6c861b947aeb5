package tiwsim

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// RoundTrip serves a request in the calling goroutine, without a socket, so that it works in a
// synctest bubble. It returns when the answer is complete, also with FaultSlow. It returns the
// error of a cancelled request, and [io.EOF] with FaultClose. With FaultCut reading the body
// returns [io.ErrUnexpectedEOF].
func (s *Service) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.Host = cmp.Or(r.Host, r.URL.Host)
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()

	w := &recorder{header: make(http.Header)}
	aborted := w.serve(s, in)
	if err := r.Context().Err(); err != nil {
		return nil, fmt.Errorf("round trip to tiwsim: %w", err)
	}
	if w.status == 0 {
		return nil, fmt.Errorf("round trip to tiwsim: %w", io.EOF)
	}
	var body io.Reader = &w.body
	if aborted {
		body = io.MultiReader(body, unexpectedEOF{})
	}
	length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}, nil
}

// recorder is an http.ResponseWriter that records the answer.
type recorder struct {
	header http.Header
	status int // 0: nothing is written yet
	body   bytes.Buffer
}

// serve runs the handler, and reports whether it aborted the answer.
func (w *recorder) serve(h http.Handler, r *http.Request) (aborted bool) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			aborted = true
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) { w.status = cmp.Or(w.status, status) }

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

type unexpectedEOF struct{}

func (unexpectedEOF) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
