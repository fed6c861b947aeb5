package tencent

import (
	"strings"

	"pushwatch/watcher"
)

// codes says what an API code means for a watcher. A code belongs to the
// longest entry that it begins with or, where exact is set, equals. What no
// entry fits is [watcher.Transient], such as InternalError: a code that nobody
// has sorted says nothing of any task.
//
// From the error list of DescribeWhiteboardPush and the common error codes,
// https://www.tencentcloud.com/document/api/1176/55161.
//
// A refusal of the caller concerns the whole account: its keys, its address, its
// permissions. The three that TIW itself answers concern the application that was
// asked for, since TIW is enabled, paid for and owned by SdkAppId. To take too
// little for denied is the safe error: each further application is then found out
// on its own, whereas the other way one expired application would stop the watch
// over all.
var codes = []struct {
	code  string
	exact bool
	kind  watcher.Kind
}{
	{code: "FailedOperation.WhiteboardPush", exact: true, kind: watcher.FailedTask},
	{code: "InvalidParameter.TaskNotFound", exact: true, kind: watcher.UnknownTask},
	{code: "InvalidParameter", kind: watcher.Refused},
	{code: "MissingParameter", kind: watcher.Refused},
	{code: "UnknownParameter", kind: watcher.Refused},
	{code: "UnsupportedRegion", kind: watcher.Refused},
	{code: "UnsupportedOperation", kind: watcher.Refused},
	{code: "UnsupportedProtocol", kind: watcher.Refused},
	{code: "InvalidAction", kind: watcher.Refused},
	{code: "InvalidRequest", kind: watcher.Refused},
	{code: "NoSuchProduct", kind: watcher.Refused},
	{code: "NoSuchVersion", kind: watcher.Refused},
	{code: "RequestSizeLimitExceeded", kind: watcher.Refused},
	{code: "AuthFailure", kind: watcher.DeniedAccount},
	{code: "IpInBlacklist", kind: watcher.DeniedAccount},
	{code: "IpNotInWhitelist", kind: watcher.DeniedAccount},
	{code: "UnauthorizedOperation", kind: watcher.DeniedAccount},
	{code: "UnauthorizedOperation.SdkAppId", kind: watcher.DeniedApplication},
	{code: "ResourceUnavailable.NotRegistered", kind: watcher.DeniedApplication},
	{code: "ResourceUnavailable.ServiceExpired", kind: watcher.DeniedApplication},
	{code: "RequestLimitExceeded", kind: watcher.Throttled},
}

// kindOf returns the meaning of an API code.
func kindOf(code string) (kind watcher.Kind) {
	longest := 0
	for _, c := range codes {
		fits := code == c.code || !c.exact && strings.HasPrefix(code, c.code)
		if fits && len(c.code) > longest {
			longest, kind = len(c.code), c.kind
		}
	}
	return kind
}
