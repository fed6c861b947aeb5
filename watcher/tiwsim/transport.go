package tiwsim

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

	w := httptest.NewRecorder()
	aborted := serve(s, w, in)
	if err := r.Context().Err(); err != nil {
		return nil, fmt.Errorf("round trip to tiwsim: %w", err)
	}
	if aborted && w.Body.Len() == 0 {
		return nil, fmt.Errorf("round trip to tiwsim: %w", io.EOF)
	}
	answer := w.Result()
	answer.Request = r
	if aborted {
		answer.Body = io.NopCloser(io.MultiReader(answer.Body, unexpectedEOF{}))
	}
	return answer, nil
}

// serve runs a handler, and reports whether it aborted the answer.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
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

type unexpectedEOF struct{}

func (unexpectedEOF) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
