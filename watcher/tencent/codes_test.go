package tencent

import (
	"testing"

	"pushwatch/watcher"
)

func TestSortCode(t *testing.T) {
	const account, application = true, false
	tests := []struct {
		code  string
		kind  watcher.Kind
		whole bool
	}{
		{"FailedOperation.WhiteboardPush", watcher.FailedTask, false},
		{"FailedOperation.WhiteboardPushBackup", watcher.Transient, false},
		{"FailedOperation", watcher.Transient, false},

		{"InvalidParameter.TaskNotFound", watcher.UnknownTask, false},
		{"InvalidParameter.TaskNotFoundHere", watcher.BadTask, false},
		{"InvalidParameter.BodyParameterTypeUnmatched", watcher.BadTask, false},
		{"InvalidParameter", watcher.BadTask, false},
		{"InvalidParameterValue", watcher.BadTask, false},
		{"InvalidParameterValue.TaskId", watcher.BadTask, false},
		{"MissingParameter", watcher.BadTask, false},
		{"UnknownParameter", watcher.BadTask, false},

		{"AuthFailure", watcher.Denied, account},
		{"AuthFailure.InvalidSecretId", watcher.Denied, account},
		{"AuthFailure.MFAFailure", watcher.Denied, account},
		{"AuthFailure.SecretIdNotFound", watcher.Denied, account},
		{"AuthFailure.SignatureExpire", watcher.Denied, account},
		{"AuthFailure.SignatureFailure", watcher.Denied, account},
		{"AuthFailure.TokenFailure", watcher.Denied, account},
		{"AuthFailure.UnauthorizedOperation", watcher.Denied, account},
		{"IpInBlacklist", watcher.Denied, account},
		{"IpNotInWhitelist", watcher.Denied, account},
		{"UnauthorizedOperation", watcher.Denied, account},
		{"UnauthorizedOperation.Other", watcher.Denied, account},
		{"UnauthorizedOperation.SdkAppId", watcher.Denied, application},
		{"ResourceUnavailable.NotRegistered", watcher.Denied, application},
		{"ResourceUnavailable.ServiceExpired", watcher.Denied, application},

		{"RequestLimitExceeded", watcher.Throttled, false},
		{"RequestLimitExceeded.IPLimitExceeded", watcher.Throttled, false},
		{"RequestLimitExceeded.UinLimitExceeded", watcher.Throttled, false},
		{"RequestLimitExceeded.GlobalRegionUinLimitExceeded", watcher.Throttled, false},

		{"InternalError", watcher.Transient, false},
		{"InternalError.Database", watcher.Transient, false},
		{"ServiceUnavailable", watcher.Transient, false},
		{"ResourceUnavailable", watcher.Transient, false},
		{"ResourceUnavailable.Other", watcher.Transient, false},
		{"UnsupportedRegion", watcher.Transient, false},
		{"Nobody.KnowsThis", watcher.Transient, false},
		{"", watcher.Transient, false},
	}
	for _, test := range tests {
		if kind, whole := sortCode(test.code); kind != test.kind || whole != test.whole {
			t.Errorf("sortCode(%q) = %v, %v, want %v, %v", test.code, kind, whole, test.kind, test.whole)
		}
	}
}
