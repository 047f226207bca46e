// An order becomes a row, with the address replaced by its SHA-256: equal
// addresses stay equal, so that they can still be counted and joined.

package export_etl_transform_policy

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"

	types "go.bytecodealliance.org/pkg/wit/types"
	. "wit_component/etl_transform_policy"
)

// The places of the fields in the description.
const (
	order = iota
	email
	country
)

var fields = []string{order: "order", email: "email", country: "country"}

const msPerDay = 24 * 60 * 60 * 1000

func Describe() Description {
	return Description{
		Name:    "{{name}}",
		Version: "0.1.0",
		Columns: []Column{
			{Name: "order_id", Type: ValueType_Text},
			{Name: "masked_email", Type: ValueType_Text},
			{Name: "country", Type: ValueType_Text, Nullable: true},
			{Name: "placed_on", Type: ValueType_Date},
		},
		Fields: []Field{
			{Pointer: "/order"},
			{Pointer: "/email", Sensitive: true},
			{Pointer: "/country"},
		},
	}
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
	read, body := members(message.Body, fields)
	switch body {
	case malformed:
		return rejected(Reason_Malformed)
	case noObject:
		return rejected(Reason_Unsupported)
	}
	for i, member := range read {
		switch {
		case i == country && (member.kind == absent || member.kind == null):
		case member.kind == absent:
			return rejectedAt(Reason_Missing, i)
		case member.kind != isText:
			return rejectedAt(Reason_WrongType, i)
		// PostgreSQL stores no U+0000.
		case strings.IndexByte(member.text, 0) >= 0:
			return rejectedAt(Reason_Invalid, i)
		}
	}
	days := message.SentMs / msPerDay
	if days > math.MaxInt32 {
		return rejected(Reason_OutOfRange)
	}
	masked := sha256.Sum256([]byte(read[email].text))
	place := MakeValueNull()
	if read[country].kind == isText {
		place = MakeValueText(read[country].text)
	}
	return MakeOutcomeRows([][]Value{{
		MakeValueText(read[order].text),
		MakeValueText(hex.EncodeToString(masked[:])),
		place,
		MakeValueDate(int32(days)),
	}})
}

func rejected(reason Reason) Outcome {
	return MakeOutcomeReject(Rejection{Reason: reason, Field: types.None[uint32]()})
}

func rejectedAt(reason Reason, field int) Outcome {
	return MakeOutcomeReject(Rejection{Reason: reason, Field: types.Some(uint32(field))})
}
