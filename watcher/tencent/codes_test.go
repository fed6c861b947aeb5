package tencent

import (
	"testing"

	"pushwatch/watcher"
)

func TestKindOf(t *testing.T) {
	tests := []struct {
		code string
		kind watcher.Kind
	}{
		{"FailedOperation.WhiteboardPush", watcher.FailedTask},
		{"FailedOperation.WhiteboardPushBackup", watcher.Transient},
		{"FailedOperation", watcher.Transient},

		{"InvalidParameter.TaskNotFound", watcher.UnknownTask},
		{"InvalidParameter.TaskNotFoundHere", watcher.Refused},
		{"InvalidParameter.BodyParameterTypeUnmatched", watcher.Refused},
		{"InvalidParameter", watcher.Refused},
		{"InvalidParameterValue", watcher.Refused},
		{"InvalidParameterValue.TaskId", watcher.Refused},
		{"MissingParameter", watcher.Refused},
		{"UnknownParameter", watcher.Refused},
		{"UnsupportedOperation", watcher.Refused},
		{"UnsupportedProtocol", watcher.Refused},
		{"InvalidAction", watcher.Refused},
		{"InvalidRequest", watcher.Refused},
		{"NoSuchProduct", watcher.Refused},
		{"NoSuchVersion", watcher.Refused},
		{"RequestSizeLimitExceeded", watcher.Refused},

		{"AuthFailure", watcher.DeniedAccount},
		{"AuthFailure.InvalidSecretId", watcher.DeniedAccount},
		{"AuthFailure.MFAFailure", watcher.DeniedAccount},
		{"AuthFailure.SecretIdNotFound", watcher.DeniedAccount},
		{"AuthFailure.SignatureExpire", watcher.DeniedAccount},
		{"AuthFailure.SignatureFailure", watcher.DeniedAccount},
		{"AuthFailure.TokenFailure", watcher.DeniedAccount},
		{"AuthFailure.UnauthorizedOperation", watcher.DeniedAccount},
		{"IpInBlacklist", watcher.DeniedAccount},
		{"IpNotInWhitelist", watcher.DeniedAccount},
		{"UnauthorizedOperation", watcher.DeniedAccount},
		{"UnauthorizedOperation.Other", watcher.DeniedAccount},
		{"UnauthorizedOperation.SdkAppId", watcher.DeniedApplication},
		{"ResourceUnavailable.NotRegistered", watcher.DeniedApplication},
		{"ResourceUnavailable.ServiceExpired", watcher.DeniedApplication},

		{"RequestLimitExceeded", watcher.Throttled},
		{"RequestLimitExceeded.IPLimitExceeded", watcher.Throttled},
		{"RequestLimitExceeded.UinLimitExceeded", watcher.Throttled},
		{"RequestLimitExceeded.GlobalRegionUinLimitExceeded", watcher.Throttled},

		{"InternalError", watcher.Transient},
		{"InternalError.Database", watcher.Transient},
		{"ServiceUnavailable", watcher.Transient},
		{"ResourceUnavailable", watcher.Transient},
		{"ResourceUnavailable.Other", watcher.Transient},
		{"UnsupportedRegion", watcher.Refused},
		{"Nobody.KnowsThis", watcher.Transient},
		{"", watcher.Transient},
	}
	for _, test := range tests {
		if got := kindOf(test.code); got != test.kind {
			t.Errorf("kindOf(%q) = %v, want %v", test.code, got, test.kind)
		}
	}
}
