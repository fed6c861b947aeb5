package tencent

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"

	"pushwatch/watcher"
)

// maxMessage limits a server's message in an error, in bytes.
const maxMessage = 200

// classify returns err as a CloudError without secrets. It wraps only the end of ctx: other
// errors may quote the server.
func (e *exchange) classify(ctx context.Context, err error, secrets []string) *watcher.CloudError {
	if fault, ok := errors.AsType[*watcher.CloudError](err); ok { // classified already
		for _, text := range []*string{&fault.Code, &fault.Message, &fault.Request} {
			*text = sanitize(*text, secrets)
		}
		return fault
	}
	if said, ok := errors.AsType[*tcerrors.TencentCloudSDKError](err); ok && errors.Unwrap(said) == nil { // the answer was read to its end
		reason := said.Message
		const because = ", because: " // the reason follows the whole body
		if i := strings.LastIndex(reason, because); i >= 0 {
			reason = reason[i+len(because):]
		}
		return unreadable(sanitize(reason, secrets))
	}

	// No complete answer came.
	fault := &watcher.CloudError{Code: "network", Sent: watcher.Unsent}
	if e.connected.Load() {
		fault.Sent = watcher.Unanswered
	}
	if ended := ctx.Err(); ended != nil {
		fault.Code = "canceled"
		if errors.Is(ended, context.DeadlineExceeded) {
			fault.Code = "timeout"
		}
		fault.Message = sanitize(context.Cause(ctx).Error(), secrets)
		fault.Err = ended
		return fault
	}
	// A dial can notice the deadline of ctx before ctx does.
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		fault.Code = "timeout"
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the method and URL are always the same
	}
	fault.Message = sanitize(err.Error(), secrets)
	if e.reused.Load() && !e.answered.Load() {
		fault.Sent = watcher.Dropped
	}
	return fault
}

func unreadable(message string) *watcher.CloudError {
	return &watcher.CloudError{Code: "unreadable", Message: message}
}

var signature = regexp.MustCompile(`Signature=[0-9a-f]+`)

// sanitize makes a server's text safe to show: one short, printable line without secrets, which
// a server might echo.
func sanitize(text string, secrets []string) string {
	text = string([]rune(text)) // each invalid byte becomes "�"
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	text = strings.Join(words, " ")
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = signature.ReplaceAllLiteralString(text, "Signature=***")
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…" // without a character that is cut
}
