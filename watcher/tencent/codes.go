package tencent

import (
	"slices"
	"strings"

	"pushwatch/watcher"
)

// kinds are the kinds of API codes. A code belongs to the first kind that lists it or a prefix of
// it. Any other code, such as InternalError, is [watcher.Transient].
//
// From the error list of DescribeWhiteboardPush and the common error codes,
// https://www.tencentcloud.com/document/api/1176/55161.
//
// Codes that refuse the caller (keys, address, permissions) concern the account. The three of
// TIW itself concern the application, since TIW is enabled, paid for and owned by SdkAppId. When
// in doubt a code denies the application: other applications then find out for themselves,
// whereas one expired application must not stop the whole account.
var kinds = []struct {
	kind     watcher.Kind
	prefixes []string
}{
	{watcher.DeniedApplication, []string{
		"UnauthorizedOperation.SdkAppId", "ResourceUnavailable.NotRegistered", "ResourceUnavailable.ServiceExpired",
	}},
	{watcher.DeniedAccount, []string{"AuthFailure", "IpInBlacklist", "IpNotInWhitelist", "UnauthorizedOperation"}},
	{watcher.Throttled, []string{"RequestLimitExceeded"}},
	{watcher.Refused, []string{
		"InvalidParameter", "MissingParameter", "UnknownParameter", "UnsupportedRegion", "UnsupportedOperation", "UnsupportedProtocol",
		"InvalidAction", "InvalidRequest", "NoSuchProduct", "NoSuchVersion", "RequestSizeLimitExceeded",
	}},
}

// kindOf returns the kind of an API code.
func kindOf(code string) watcher.Kind {
	switch code { // these are no prefixes
	case "FailedOperation.WhiteboardPush":
		return watcher.FailedTask
	case "InvalidParameter.TaskNotFound":
		return watcher.UnknownTask
	}
	for _, k := range kinds {
		if slices.ContainsFunc(k.prefixes, func(prefix string) bool { return strings.HasPrefix(code, prefix) }) {
			return k.kind
		}
	}
	return watcher.Transient
}
