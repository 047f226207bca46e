// The policy of `sha256_mask`, in Go: the same rows, and the same rejections. It
// is built as a project of `etl-host new --lang go` whose `policy.go` it replaces.

package export_etl_transform_policy

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"

	types "go.bytecodealliance.org/pkg/wit/types"
	. "wit_component/etl_transform_policy"
)

// In the order in which they are judged: the first one at fault is named.
const (
	userID = iota
	appVersion
	deviceType
	ip
	deviceID
	locale
)

var fields = []string{
	userID: "user_id", appVersion: "app_version", deviceType: "device_type",
	ip: "ip", deviceID: "device_id", locale: "locale",
}

const (
	msPerDay         = 24 * 60 * 60 * 1000
	minorAndPatchMax = 999
	// More than any part of a version may be, and what one of many digits is
	// read as.
	tooMuch = 1_000_000
)

func Describe() Description {
	described := Description{
		Name:    "sha256_mask",
		Version: "0.1.0",
		Columns: []Column{
			{Name: "user_id", Type: ValueType_Text},
			{Name: "device_type", Type: ValueType_Text},
			{Name: "masked_ip", Type: ValueType_Text},
			{Name: "masked_device_id", Type: ValueType_Text},
			{Name: "locale", Type: ValueType_Text, Nullable: true},
			{Name: "app_version", Type: ValueType_Integer},
			{Name: "create_date", Type: ValueType_Date},
		},
	}
	for i, name := range fields {
		field := Field{Pointer: "/" + name, Sensitive: i == ip || i == deviceID}
		described.Fields = append(described.Fields, field)
	}
	return described
}

// Configure takes no parameters.
func Configure([]Argument) types.Result[types.Unit, Refusal] {
	return types.Ok[types.Unit, Refusal](types.Unit{})
}

func Transform(messages []Message) []Outcome {
	outcomes := make([]Outcome, len(messages))
	for i, message := range messages {
		outcomes[i] = outcome(message)
	}
	return outcomes
}

func outcome(message Message) Outcome {
	login, body := members(message.Body, fields)
	switch body {
	case malformed:
		return rejected(Reason_Malformed)
	case noObject:
		return rejected(Reason_Unsupported)
	}
	any := false
	for _, member := range login {
		any = any || member.kind != absent
	}
	if !any {
		return rejected(Reason_Unsupported)
	}

	number := int64(0)
	for i, member := range login {
		if i == locale && (member.kind == absent || member.kind == null) {
			continue
		}
		if member.kind == absent {
			return rejectedAt(Reason_Missing, i)
		}
		if member.kind != isText {
			return rejectedAt(Reason_WrongType, i)
		}
		if i == appVersion {
			var reason Reason
			var ok bool
			if number, reason, ok = version(member.text); !ok {
				return rejectedAt(reason, i)
			}
		}
		// PostgreSQL stores no U+0000; what is only hashed may hold it.
		if i != ip && i != deviceID && strings.IndexByte(member.text, 0) >= 0 {
			return rejectedAt(Reason_Invalid, i)
		}
	}
	days := message.SentMs / msPerDay
	if days > math.MaxInt32 {
		return rejected(Reason_OutOfRange)
	}
	language := MakeValueNull()
	if login[locale].kind == isText {
		language = MakeValueText(login[locale].text)
	}
	return MakeOutcomeRows([][]Value{{
		MakeValueText(login[userID].text),
		MakeValueText(login[deviceType].text),
		hashed(login[ip].text),
		hashed(login[deviceID].text),
		language,
		MakeValueInteger(number),
		MakeValueDate(int32(days)),
	}})
}

func hashed(text string) Value {
	hash := sha256.Sum256([]byte(text))
	return MakeValueText(hex.EncodeToString(hash[:]))
}

// version is major × 1,000,000 + minor × 1,000 + patch; missing parts are 0.
func version(text string) (int64, Reason, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 3 {
		return 0, Reason_Invalid, false
	}
	var numbers [3]int64
	for i, part := range parts {
		if part == "" {
			return 0, Reason_Invalid, false
		}
		for _, digit := range []byte(part) {
			if digit < '0' || digit > '9' {
				return 0, Reason_Invalid, false
			}
			numbers[i] = min(10*numbers[i]+int64(digit-'0'), tooMuch)
		}
	}
	number := 1_000_000*numbers[0] + 1_000*numbers[1] + numbers[2]
	if max(numbers[1], numbers[2]) > minorAndPatchMax || number > math.MaxInt32 {
		return 0, Reason_OutOfRange, false
	}
	return number, 0, true
}

func rejected(reason Reason) Outcome {
	return MakeOutcomeReject(Rejection{Reason: reason, Field: types.None[uint32]()})
}

func rejectedAt(reason Reason, field int) Outcome {
	return MakeOutcomeReject(Rejection{Reason: reason, Field: types.Some(uint32(field))})
}
