package tencent

import (
	"cmp"
	"context"
	"encoding/json"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"

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

// describeResponse is the output. A field of the wrong type fails the whole
// answer, since it must not pass for one that was left out. Only Backup, whose
// form is not documented, is taken as it comes. TaskId is not read: it is known
// to differ from the id asked for.
type describeResponse struct {
	Response *struct {
		Status        *string
		FinishReason  *string
		RoomId        *int64
		GroupId       *string
		PushUserId    *string
		PushStartTime *int64
		PushStopTime  *int64
		ExceptionCnt  *int64
		IMSyncTime    *int64
		Backup        lenientText
		RequestId     *string
		Error         *struct{ Code, Message string }
	}
	Code              int // of an error in the form before API 3.0; 0: none
	CodeDesc, Message string
}

// ParseErrorFromHTTPResponse implements [tchttp.Response]. It looks for no error:
// the SDK reads all of the answer into d next, an error too, and would else have
// read it three times.
func (d *describeResponse) ParseErrorFromHTTPResponse([]byte) error { return nil }

// apiError is the error that the answer is; nil: it is none.
func (d *describeResponse) apiError() *watcher.CloudError {
	fault := new(watcher.CloudError)
	switch r := d.Response; {
	case r != nil && r.Error != nil && r.Error.Code != "":
		fault.Code, fault.Message = r.Error.Code, r.Error.Message
		if r.RequestId != nil {
			fault.Request = *r.RequestId
		}
	case d.Code != 0:
		fault.Code, fault.Message = cmp.Or(d.CodeDesc, "unreadable"), d.Message
	default:
		return nil
	}
	fault.Kind = kindOf(fault.Code)
	return fault
}

// push is the answer in the domain's terms. It is an error where the answer is
// JSON but says nothing: a watcher takes an answer without Status for a failed
// push, so such an answer must at least bear the RequestId that the API
// promises in each.
func (d *describeResponse) push() (watcher.Push, error) {
	r := d.Response
	switch {
	case r == nil:
		return watcher.Push{}, unreadable("the answer has no Response")
	case r.Error != nil:
		return watcher.Push{}, unreadable("the answer has an Error without a Code")
	case r.Status == nil && r.RequestId == nil:
		return watcher.Push{}, unreadable("the answer has neither Status nor RequestId")
	}
	return watcher.Push{
		Status: r.Status, FinishReason: r.FinishReason,
		RoomID: r.RoomId, GroupID: r.GroupId, PushUserID: r.PushUserId,
		PushStartTime: r.PushStartTime, PushStopTime: r.PushStopTime,
		ExceptionCount: r.ExceptionCnt, IMSyncTime: r.IMSyncTime,
		Backup: r.Backup.text, RequestID: r.RequestId,
	}, nil
}

// lenientText is a string, or the JSON of whatever stands in its place; nil for
// null and for nothing.
type lenientText struct{ text *string }

// UnmarshalJSON implements [json.Unmarshaler], and with it the same interface
// of the SDK's own JSON package.
func (t *lenientText) UnmarshalJSON(raw []byte) error {
	switch {
	case string(raw) == `""`: // as it mostly is: every poll comes by here
		t.text = new("")
	case raw[0] == '"' || raw[0] == 'n':
		return json.Unmarshal(raw, &t.text)
	default:
		t.text = new(string(raw))
	}
	return nil
}
