package tencent

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"

	"pushwatch/watcher"
)

// maxMessage is how many bytes of a message from outside an error shows.
const maxMessage = 200

// fault sorts what kept an exchange from giving a push. Apart from the end of
// ctx, causes are told but not wrapped: they may quote what the server sent.
func (e *exchange) fault(ctx context.Context, err error, keys Keys) *watcher.CloudError {
	if fault, ok := errors.AsType[*watcher.CloudError](err); ok { // an answer, though not of the API
		fault.Message = tidy(fault.Message, keys)
		return fault
	}
	said, ok := errors.AsType[*tcerrors.TencentCloudSDKError](err)
	if ok && errors.Unwrap(said) == nil { // the answer was read to its end
		if reason, ok := strings.CutPrefix(said.Code, "ClientError."); ok {
			// The reason comes last, after the whole body.
			_, because, _ := cutLast(said.Message, ", because: ")
			return unreadable(tidy(cmp.Or(because, reason), keys))
		}
		kind, whole := sortCode(said.Code)
		return &watcher.CloudError{
			Kind: kind, WholeAccount: whole,
			Code:    tidy(cmp.Or(said.Code, "unreadable"), keys),
			Message: tidy(said.Message, keys),
			Request: tidy(said.RequestId, keys),
		}
	}

	var fault *watcher.CloudError
	if ctx.Err() != nil {
		fault = ended(ctx, keys)
	} else {
		fault = &watcher.CloudError{Code: "network", Stale: e.reused.Load() && !e.answered.Load()}
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // the method and URL are always the same
		}
		// A dial can see the deadline of ctx pass before ctx does.
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			fault.Code = "timeout"
		}
		fault.Message = tidy(err.Error(), keys)
	}
	fault.Unanswered = e.connected.Load()
	return fault
}

// ended is the fault of a request whose context ended.
func ended(ctx context.Context, keys Keys) *watcher.CloudError {
	code := "canceled"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = "timeout"
	}
	return &watcher.CloudError{Code: code, Message: tidy(context.Cause(ctx).Error(), keys), Err: ctx.Err()}
}

func unreadable(message string) *watcher.CloudError {
	return &watcher.CloudError{Code: "unreadable", Message: message}
}

// cutLast is [strings.Cut] around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var signature = regexp.MustCompile(`Signature=[0-9a-f]+`)

// tidy makes text from outside fit for an error: one line, printable, without
// the secrets of the request that a server might echo, and short.
func tidy(text string, keys Keys) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(printable), " ")
	for _, secret := range []string{keys.SecretKey, keys.Token, keys.SecretID} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = signature.ReplaceAllLiteralString(text, "Signature=***")
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
