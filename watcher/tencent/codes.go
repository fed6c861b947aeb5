package tencent

import (
	"strings"

	"pushwatch/watcher"
)

// codes maps API codes to kinds. A code belongs to the longest entry that is a prefix of it or,
// with exact, equals it. Any other code, such as InternalError, is [watcher.Transient].
//
// From the error list of DescribeWhiteboardPush and the common error codes,
// https://www.tencentcloud.com/document/api/1176/55161.
//
// Codes that refuse the caller (keys, address, permissions) concern the account. The three of
// TIW itself concern the application, since TIW is enabled, paid for and owned by SdkAppId. When
// in doubt a code denies the application: other applications then find out for themselves,
// whereas one expired application must not stop the whole account.
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

// kindOf returns the kind of an API code.
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
