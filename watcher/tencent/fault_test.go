package tencent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
)

func TestTheEndOfTheContextEndsTheRequest(t *testing.T) {
	const after = 5 * time.Second
	why := errors.New("no answer within 5s")
	ends := map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		want watcher.CloudError
	}{
		"deadline": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, after, why)
			},
			watcher.CloudError{Code: "timeout", Message: why.Error(), Sent: watcher.Unanswered, Err: context.DeadlineExceeded},
		},
		"cancel": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(after, cancel)
				return ctx, cancel
			},
			watcher.CloudError{Code: "canceled", Message: "context canceled", Sent: watcher.Unanswered, Err: context.Canceled},
		},
	}
	answers := map[string]string{
		"before an answer":    "",
		"within a header":     "HTTP/1.1 200 OK\r\nContent-Le",
		"within an answer":    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"Response\":{",
		"within a bad answer": "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000\r\n\r\n<html>",
	}
	for when, begun := range answers {
		for name, test := range ends {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := servePipes(t, func(conn net.Conn, in *bufio.Reader) {
						receive(in)
						io.WriteString(conn, begun)
						io.Copy(io.Discard, in) // until the client closes
					})
					start := time.Now()
					ctx, cancel := test.end(t.Context())
					defer cancel()
					_, err := client.Describe(ctx, testKey)
					if got := cloudError(t, err); !reflect.DeepEqual(*got, test.want) {
						t.Errorf("Describe() = %#v, want %#v", *got, test.want)
					}
					if got := time.Since(start); got != after {
						t.Errorf("Describe() took %v, want %v", got, after)
					}
				})
			})
		}
	}
}

func TestADialThatTimesOutSendsNothing(t *testing.T) {
	client := newTestClient(t, "http://127.0.0.1:1")
	client.transport.http.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	got := describe(t, client)
	want := &watcher.CloudError{Code: "timeout", Message: "dial tcp: i/o timeout", Sent: watcher.Unsent}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}
}

func TestAnEndedContextSendsNothing(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request came, want none") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Describe(ctx, testKey)
	want := &watcher.CloudError{Code: "canceled", Message: "context canceled", Sent: watcher.Unsent, Err: context.Canceled}
	if got := cloudError(t, err); !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}
}

func TestAProtocolSwitchDoesNotHangTheRequest(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		conn.SetReadDeadline(time.Now().Add(hang))
		io.Copy(io.Discard, conn) // until the client closes
	})
	if got := describe(t, client); got.Code != "http 101" {
		t.Errorf("Describe() = %#v, want http 101", got)
	}
}

// noSecrets fails if text shows a part of testKeys.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{testKeys.SecretID, testKeys.SecretKey, testKeys.Token, "hunter2"} {
		if strings.Contains(text, secret) {
			t.Errorf("text = %q, want it without %q", text, secret)
		}
	}
}

// The server gives the whole request back in every place that an error shows.
func TestErrorsHoldNoSecrets(t *testing.T) {
	for name, echo := range map[string]func(w http.ResponseWriter, r *http.Request, request string){
		"gateway page": func(w http.ResponseWriter, _ *http.Request, request string) {
			http.Error(w, request, http.StatusBadGateway)
		},
		"API error": func(w http.ResponseWriter, _ *http.Request, request string) {
			fmt.Fprintf(w, `{"Response":{"RequestId":%q,"Error":{"Code":%q,"Message":%q}}}`, request, request, request)
		},
		"SDK error": func(w http.ResponseWriter, _ *http.Request, request string) {
			fmt.Fprintf(w, `{"Response":{"RequestId":%q,"Error":{"Code":%q}}}`, request, "ClientError."+request)
		},
		"old API error": func(w http.ResponseWriter, _ *http.Request, request string) {
			fmt.Fprintf(w, `{"code":1,"codeDesc":%q,"message":%q}`, request, request)
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request, request string) {
			io.WriteString(w, request+", because: "+request)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/?"+r.Header.Get("Authorization")+r.Header.Get("X-TC-Token"), http.StatusFound)
		},
		"not HTTP": func(w http.ResponseWriter, r *http.Request, _ string) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s %s\r\n\r\n", testKeys.SecretKey, r.Header.Get("X-TC-Token"), r.Header.Get("Authorization"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent string
			got := describe(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				dump, err := httputil.DumpRequest(r, true)
				if err != nil {
					t.Error(err)
				}
				_, sent, _ = strings.Cut(r.Header.Get("Authorization"), "Signature=")
				// The key is never sent; a server that has it is the worst case.
				echo(w, r, testKeys.SecretKey+" "+r.Header.Get("Authorization")+" "+string(dump))
			}))
			for err := error(got); err != nil; err = errors.Unwrap(err) {
				noSecrets(t, fmt.Sprintf("%v %+v %#v", err, err, err))
				if strings.Contains(err.Error(), sent) {
					t.Errorf("error = %q, want it without the signature", err)
				}
			}
			noSecrets(t, got.Code+got.Message+got.Request)
		})
	}
}

func TestErrorsWithoutAnAnswerHoldNoSecrets(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	noSecrets(t, describe(t, newTestClient(t, server.URL)).Error())
	noSecrets(t, describe(t, newTestClient(t, "https://tiw.example")).Error())
}

func TestSanitize(t *testing.T) {
	keys := Keys{SecretID: "theid", SecretKey: "thekey", Token: "thetoken"}
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{" a\r\n\tb\x00\x1bc\u2028d\u202ee ", "a b c d e"},
		{"bad \xff\xfe bytes", "bad \ufffd\ufffd bytes"},
		{"theid, thekey, thetoken", "***, ***, ***"},
		{"Signature=0123abcd.", "Signature=***."},
		{strings.Repeat("x", maxMessage), strings.Repeat("x", maxMessage)},
		{strings.Repeat("x", maxMessage+1), strings.Repeat("x", maxMessage-3) + "…"},
		{strings.Repeat("世", 100), strings.Repeat("世", 65) + "…"},
		{strings.Repeat("x", maxMessage-3) + "thetoken", strings.Repeat("x", maxMessage-3) + "***"},
	} {
		if got := sanitize(test.in, keys.secrets()); got != test.want {
			t.Errorf("sanitize(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	if got := sanitize("no keys", Keys{}.secrets()); got != "no keys" {
		t.Errorf("sanitize() without keys = %q, want %q", got, "no keys")
	}
}
