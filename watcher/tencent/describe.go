package tencent

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tidwall/gjson"

	"pushwatch/watcher"
)

// describeRequest is the input of DescribeWhiteboardPush, version 2019-09-19:
// https://www.tencentcloud.com/document/api/1176/55161
type describeRequest struct {
	*tchttp.BaseRequest
	SdkAppId int64
	TaskId   string
}

func newDescribeRequest(ctx context.Context, key watcher.Key) *describeRequest {
	base := new(tchttp.BaseRequest).Init().WithApiInfo("tiw", "2019-09-19", "DescribeWhiteboardPush")
	base.SetContext(ctx)
	return &describeRequest{BaseRequest: base, SdkAppId: key.SDKAppID, TaskId: key.TaskID}
}

// describeResponse is the output. It is parsed field by field, so that one invalid field does
// not lose the others.
type describeResponse struct {
	present bool // there is a Response
	push    watcher.Push
	backup  anyText
	err     apiError
	old     struct { // the error of an answer without a Response, in the form before API 3.0
		code          *int64 // 0: none
		name, message *string
	}

	unreadable []unreadableField
}

// apiError is the field Error of an answer.
type apiError struct {
	present       bool // readable or not
	code, message *string
}

// ParseErrorFromHTTPResponse implements [tchttp.Response]. It does nothing, since the SDK next
// parses the whole answer, including its error, into d.
func (d *describeResponse) ParseErrorFromHTTPResponse([]byte) error { return nil }

// UnmarshalJSON implements the Unmarshaler of the SDK's JSON package, which has validated the
// text.
func (d *describeResponse) UnmarshalJSON(text []byte) error {
	answer := gjson.ParseBytes(text)
	if !answer.IsObject() {
		return fmt.Errorf("the answer is of the JSON type %s: want an object", jsonType(answer))
	}
	d.read(answer, []field{{"Response", d}})
	if !d.present {
		d.read(answer, []field{{"code", &d.old.code}, {"codeDesc", &d.old.name}, {"message", &d.old.message}})
	}
	return nil
}

// readResponse reads the object Response. It ignores TaskId, which may differ from the id asked
// for.
func (d *describeResponse) readResponse(object gjson.Result) {
	d.present = true
	p := &d.push
	d.read(object, []field{
		{"Status", &p.Status}, {"FinishReason", &p.FinishReason},
		{"RoomId", &p.RoomID}, {"GroupId", &p.GroupID}, {"PushUserId", &p.PushUserID},
		{"PushStartTime", &p.PushStartTime}, {"PushStopTime", &p.PushStopTime},
		{"ExceptionCnt", &p.ExceptionCount}, {"IMSyncTime", &p.IMSyncTime}, {"Backup", &d.backup},
		{"RequestId", &p.RequestID}, {"TaskId", nil}, {"Error", &d.err},
	})
	p.Backup = d.backup.text
}

// result returns the push or error that the answer describes.
//
// A Status counts even beside an Error, except that of a failed push. An answer without Status
// means a failed push too. So it must have the RequestId that the API promises, and no Status or
// Error that cannot be read.
func (d *describeResponse) result() (watcher.Push, error) {
	fault := d.fault()
	hasStatus := deref(d.push.Status) != ""
	unread := slices.IndexFunc(d.unreadable, func(f unreadableField) bool { return f.name == "Status" })
	switch {
	case fault != nil && (!hasStatus || fault.Kind == watcher.FailedTask):
		return watcher.Push{}, fault
	case hasStatus:
		return d.push, nil
	case !d.present:
		return watcher.Push{}, unreadable("the answer has no Response")
	case d.err.present:
		return watcher.Push{}, unreadable("the answer has an Error without a Code")
	case unread >= 0:
		return watcher.Push{}, unreadable("Status is of the JSON type " + d.unreadable[unread].jsonType + ": want a string")
	case d.push.RequestID == nil:
		return watcher.Push{}, unreadable("the answer has neither Status nor RequestId")
	default:
		return d.push, nil
	}
}

// fault returns the answer's error; nil: none.
func (d *describeResponse) fault() *watcher.CloudError {
	code, message := d.err.code, d.err.message
	if d.old.code != nil && *d.old.code != 0 {
		code, message = d.old.name, d.old.message
		if code == nil || *code == "" {
			return unreadable(cmp.Or(deref(message), "the answer has a code and no codeDesc"))
		}
	}
	if deref(code) == "" {
		return nil
	}
	return &watcher.CloudError{Kind: kindOf(*code), Code: *code, Message: deref(message), Request: deref(d.push.RequestID)}
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
