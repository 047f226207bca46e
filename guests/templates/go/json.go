// Members of a JSON object, read without recursion: a body may nest as deep as
// it likes. A member that is asked for and given twice makes the body malformed;
// what is not asked for is skipped.

package export_etl_transform_policy

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// What a member holds, as far as it matters.
type kind int

const (
	absent kind = iota
	null
	isText
	other
)

type member struct {
	kind kind
	text string
}

// What a body is.
type bodyKind int

const (
	malformed bodyKind = iota
	noObject
	object
)

// What a place in the text asks for.
type asked int

const (
	value asked = iota
	name
	colon
	comma
	end
)

// members gives the members of these names that the body's object has.
func members(body string, names []string) ([]member, bodyKind) {
	found := make([]member, len(names))
	// What is open: the bracket that closes each.
	var closing []byte
	// The member that is being read.
	var reading *member
	what, mayEnd, bodyIs := value, false, noObject
	for at := passSpace(body, 0); at < len(body); at = passSpace(body, at) {
		letter, depth, from := body[at], len(closing), at
		switch {
		case mayEnd && letter == closing[depth-1]:
			closing = closing[:depth-1]
			at++
		case what == comma && letter == ',':
			what, mayEnd = value, false
			if closing[depth-1] == '}' {
				what = name
			}
			at++
			continue
		case what == colon && letter == ':':
			what = value
			at++
			continue
		case what == name && letter == '"':
			if at = passText(body, at); at < 0 {
				return nil, malformed
			}
			// Whatever it belongs to, a name outside the members is only skipped.
			if depth == 1 || depth == 2 && reading != nil {
				text, ok := unescaped(body[from:at])
				if !ok {
					return nil, malformed
				}
				if depth == 1 {
					reading = nil
					for i := range names {
						if names[i] == text {
							reading = &found[i]
						}
					}
					if reading != nil && reading.kind != absent {
						return nil, malformed
					}
				}
			}
			what, mayEnd = colon, false
			continue
		case what == value && (letter == '{' || letter == '['):
			if depth == 0 && letter == '{' {
				bodyIs = object
			}
			if depth == 1 && reading != nil {
				reading.kind = other
			}
			mayEnd = true
			if letter == '{' {
				what, closing = name, append(closing, '}')
			} else {
				closing = append(closing, ']')
			}
			at++
			continue
		case what == value:
			if at = passScalar(body, at); at < 0 {
				return nil, malformed
			}
			// What is read and not skipped: the body itself, and a member.
			if depth == 0 || depth == 1 && reading != nil {
				read, ok := scalar(body[from:at])
				if !ok {
					return nil, malformed
				}
				if depth == 1 {
					*reading = read
				}
			}
		default:
			return nil, malformed
		}
		mayEnd = len(closing) > 0
		what = end
		if mayEnd {
			what = comma
		}
	}
	if what != end {
		return nil, malformed
	}
	return found, bodyIs
}

func letterAt(body string, at int) byte {
	if at < len(body) {
		return body[at]
	}
	return 0
}

func passSpace(body string, at int) int {
	for at < len(body) && strings.IndexByte(" \t\n\r", body[at]) >= 0 {
		at++
	}
	return at
}

// passText tells where a text ends, or -1.
func passText(body string, at int) int {
	for at++; at < len(body); at++ {
		switch letter := body[at]; {
		case letter == '"':
			return at + 1
		case letter < 0x20:
			return -1
		case letter == '\\':
			at++
			switch escape := letterAt(body, at); {
			case escape == 'u':
				if hex4(body, at+1) < 0 {
					return -1
				}
				at += 4
			case escape == 0 || strings.IndexByte(`"\/bfnrt`, escape) < 0:
				return -1
			}
		}
	}
	return -1
}

// hex4 is the number of four hexadecimal digits, or -1.
func hex4(body string, at int) rune {
	if len(body)-at < 4 {
		return -1
	}
	number, err := strconv.ParseUint(body[at:at+4], 16, 16)
	if err != nil {
		return -1
	}
	return rune(number)
}

// passScalar tells where a text, a word or a number ends, or -1.
func passScalar(body string, at int) int {
	if body[at] == '"' {
		return passText(body, at)
	}
	for _, word := range []string{"null", "true", "false"} {
		if strings.HasPrefix(body[at:], word) {
			return at + len(word)
		}
	}
	if body[at] == '-' {
		at++
	}
	zero := letterAt(body, at) == '0'
	from := at
	if at = passDigits(body, at); at == from || zero && at > from+1 {
		return -1
	}
	if letterAt(body, at) == '.' {
		from = at + 1
		if at = passDigits(body, from); at == from {
			return -1
		}
	}
	if letterAt(body, at)|0x20 == 'e' {
		at++
		if sign := letterAt(body, at); sign == '+' || sign == '-' {
			at++
		}
		from = at
		if at = passDigits(body, at); at == from {
			return -1
		}
	}
	return at
}

func passDigits(body string, at int) int {
	for at < len(body) && body[at] >= '0' && body[at] <= '9' {
		at++
	}
	return at
}

// scalar reads what was passed. False where it is beyond what can be read: half
// a surrogate pair, or a number that is no float.
func scalar(word string) (member, bool) {
	switch word[0] {
	case '"':
		text, ok := unescaped(word)
		return member{isText, text}, ok
	case 'n':
		return member{kind: null}, true
	case 't', 'f':
		return member{kind: other}, true
	}
	number, _ := strconv.ParseFloat(word, 64)
	return member{kind: other}, !math.IsInf(number, 0)
}

// unescaped is a text without quotes and escapes. False for half a surrogate
// pair.
func unescaped(word string) (string, bool) {
	word = word[1 : len(word)-1]
	if strings.IndexByte(word, '\\') < 0 {
		return word, true
	}
	text := make([]byte, 0, len(word))
	for at := 0; at < len(word); at++ {
		if word[at] != '\\' {
			text = append(text, word[at])
			continue
		}
		at++
		if word[at] != 'u' {
			text = append(text, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, word[at])])
			continue
		}
		code := hex4(word, at+1)
		at += 4
		if utf16.IsSurrogate(code) {
			low := rune(-1)
			if strings.HasPrefix(word[at+1:], `\u`) {
				low = hex4(word, at+3)
			}
			code = utf16.DecodeRune(code, low)
			if code == '\uFFFD' {
				return "", false
			}
			at += 6
		}
		text = append(text, string(code)...)
	}
	return string(text), true
}
