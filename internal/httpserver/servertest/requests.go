package servertest

import "strings"

// bytesCase is a piece of what a client may say, and the statuses that net/http
// answers before it waits for more; "-" is none.
type bytesCase struct {
	name string
	text string
	want string
}

// get is a request without a body, with lines of a header beside Host.
func get(lines ...string) string {
	return head("GET /a HTTP/1.1", append([]string{"Host: h"}, lines...)...)
}

// streamed is a request for what is sent or read as it comes.
func streamed() string { return requestOf("GET " + Streams + " HTTP/1.1") }

// streamedPost is one with a body, whatever the lines say of it.
func streamedPost(body string, lines ...string) string {
	return head("POST "+Streams+" HTTP/1.1", append([]string{"Host: h"}, lines...)...) + body
}

// post is a request with a body, whatever the lines say of it.
func post(body string, lines ...string) string {
	return head("POST /a HTTP/1.1", append([]string{"Host: h"}, lines...)...) + body
}

func head(requestLine string, lines ...string) string {
	return requestLine + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// requestOf is a request with this request line.
func requestOf(requestLine string) string { return head(requestLine, "Host: h") }

// next is what follows a request whose end is in doubt. Where it hides in a
// body, the handler must not see it; where it does not, it must.
const next = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n"

// bytesCases are all of them.
func bytesCases() []bytesCase {
	var all []bytesCase
	for _, group := range [][]bytesCase{plainCases, lengthCases, codingCases, chunkCases, lineCases, targetCases, hostCases, fieldCases, connectionCases, partCases} {
		all = append(all, group...)
	}
	return all
}

var plainCases = []bytesCase{
	{"get", get(), "200"},
	{"several fields", get("Accept: */*", "User-Agent: x/1", "Cookie: a=b; c=d", "cookie: e=f"), "200"},
	{"post", post("hello", "Content-Length: 5"), "200"},
	{"post and next", post("hello", "Content-Length: 5") + next, "200 200"},
	{"post without a length", post("") + next, "200 200"},
	{"post of length 0", post("", "Content-Length: 0") + next, "200 200"},
	{"get with a body", get("Content-Length: 5") + "hello" + next, "200 200"},
	{"head", requestOf("HEAD /a HTTP/1.1") + next, "200 200"},
	{"delete", requestOf("DELETE /a HTTP/1.1") + next, "200 200"},
	{"pipelined", get() + post("x", "Content-Length: 1") + next + get(), "200 200 200 200"},
	{"pipelined close", get("Connection: close") + next, "200"},
	{"buy", "POST /v1/products/shirt/buy HTTP/1.1\r\nHost: shop.example\r\nX-Buyer: ada\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"quantity\":1}", "200"},
	{"poll", "GET /queue/abc.def-ghi?wait=5 HTTP/1.1\r\nHost: shop.example\r\nIf-None-Match: \"x\"\r\n\r\n", "200"},
	{"empty lines before get", "\r\n\r\n" + get(), "400"},
	{"empty lines after post", post("x", "Content-Length: 1") + "\r\n" + next, "200 200"},
	{"empty lines after get", get() + "\r\n" + next, "200 400"},
	{"empty line feeds after post", post("x", "Content-Length: 1") + "\n\n" + next, "200 200"},
}

var lengthCases = []bytesCase{
	{"length twice, the same", post("hello", "Content-Length: 5", "Content-Length: 5") + next, "200 200"},
	{"length twice, different", post("hello", "Content-Length: 5", "Content-Length: 6") + next, "400"},
	{"length twice, 0 and 5", post("hello", "Content-Length: 0", "Content-Length: 5") + next, "400"},
	{"length twice, 5 and 05", post("hello", "Content-Length: 5", "Content-Length: 05") + next, "400"},
	{"length twice, in two cases", post("hello", "content-length: 5", "CONTENT-LENGTH: 6") + next, "400"},
	{"length list, the same", post("hello", "Content-Length: 5, 5") + next, "400"},
	{"length list", post("h", "Content-Length: 1, 1") + next, "400"},
	{"length +5", post("hello", "Content-Length: +5") + next, "400"},
	{"length -1", post("", "Content-Length: -1") + next, "400"},
	{"length -0", post("", "Content-Length: -0") + next, "400"},
	{"length 0x5", post("hello", "Content-Length: 0x5") + next, "400"},
	{"length 5 and a space", post("hello", "Content-Length: 5 ") + next, "200 200"},
	{"length 5 and a tab", post("hello", "Content-Length: 5\t") + next, "200 200"},
	{"length and no space", post("hello", "Content-Length:5") + next, "200 200"},
	{"length with a space inside", post("hello", "Content-Length: 5 5") + next, "400"},
	{"length 005", post("hello", "Content-Length: 005") + next, "200 200"},
	{"length 5.0", post("hello", "Content-Length: 5.0") + next, "400"},
	{"length 5e0", post("hello", "Content-Length: 5e0") + next, "400"},
	{"length 1_0", post("0123456789", "Content-Length: 1_0") + next, "400"},
	{"length empty", post("hello", "Content-Length: ") + next, "400"},
	{"length in a word", post("hello", "Content-Length: five") + next, "400"},
	{"length quoted", post("hello", "Content-Length: \"5\"") + next, "400"},
	{"length in other digits", post("hello", "Content-Length: \u0665") + next, "400"},
	{"length beyond int64", post("hello", "Content-Length: 9223372036854775808") + next, "400"},
	{"length beyond uint64", post("hello", "Content-Length: 18446744073709551621") + next, "400"},
	{"length of 100 digits", post("hello", "Content-Length: "+strings.Repeat("0", 99)+"5") + next, "200 200"},
	{"length of int64", post("hello", "Content-Length: 9223372036854775807"), "-"},
	{"length and a name with a space", post("hello", "Content-Length : 5") + next, "400"},
	{"length with an underscore", post("hello", "Content_Length: 5") + next, "200 200"},
	{"length of get, different", get("Content-Length: 1", "Content-Length: 2") + "h" + next, "400"},
	{"length of head", head("HEAD /a HTTP/1.1", "Host: h", "Content-Length: 5") + "hello" + next, "200 200"},
}

var codingCases = []bytesCase{
	{"chunked", post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + next, "200 200"},
	{"chunked in capitals", post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: CHUNKED") + next, "200 200"},
	{"chunked get", get("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + next, "200 200"},
	{"chunked and length", post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5") + next, "200 200"},
	{"length and chunked", post("0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked") + next, "200 200"},
	{"bad length and chunked", post("0\r\n\r\n", "Content-Length: x", "Transfer-Encoding: chunked") + next, "400"},
	{"two lengths and chunked", post("0\r\n\r\n", "Content-Length: 1", "Content-Length: 2", "Transfer-Encoding: chunked") + next, "400"},
	{"coding identity", post("hello", "Transfer-Encoding: identity", "Content-Length: 5") + next, "501"},
	{"coding list", post("0\r\n\r\n", "Transfer-Encoding: chunked, identity") + next, "501"},
	{"coding list, chunked last", post("0\r\n\r\n", "Transfer-Encoding: gzip, chunked") + next, "501"},
	{"coding twice in a list", post("0\r\n\r\n", "Transfer-Encoding: chunked, chunked") + next, "501"},
	{"coding twice", post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + next, "501"},
	{"coding twice, one identity", post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + next, "501"},
	{"coding xchunked", post("0\r\n\r\n", "Transfer-Encoding: xchunked") + next, "501"},
	{"coding chunkedx", post("0\r\n\r\n", "Transfer-Encoding: chunkedx") + next, "501"},
	{"coding after two spaces", post("0\r\n\r\n", "Transfer-Encoding:  chunked") + next, "200 200"},
	{"coding after a tab", post("0\r\n\r\n", "Transfer-Encoding:\tchunked") + next, "200 200"},
	{"coding after a vertical tab", post("0\r\n\r\n", "Transfer-Encoding: \vchunked") + next, "400"},
	{"coding quoted", post("0\r\n\r\n", "Transfer-Encoding: \"chunked\"") + next, "501"},
	{"coding with a parameter", post("0\r\n\r\n", "Transfer-Encoding: chunked;q=1") + next, "501"},
	{"coding with a comma", post("0\r\n\r\n", "Transfer-Encoding: chunked,") + next, "501"},
	{"coding empty", post("hello", "Transfer-Encoding: ", "Content-Length: 5") + next, "501"},
	{"coding with a Kelvin sign", post("0\r\n\r\n", "Transfer-Encoding: chun\u212aed") + next, "501"},
	{"coding and a name with a space", post("0\r\n\r\n", "Transfer-Encoding : chunked") + next, "400"},
	{"coding and a name after a space", post("0\r\n\r\n", " Transfer-Encoding: chunked") + next, "400"},
	{"coding folded", post("0\r\n\r\n", "Transfer-Encoding:\r\n chunked") + next, "200 200"},
	{"coding hidden by a fold", post("0\r\n\r\n", "X: y\r\n Transfer-Encoding: chunked") + next, "200 400"},
	{"coding after a bare carriage return", post("0\r\n\r\n", "X: y\rTransfer-Encoding: chunked") + next, "400"},
	{"coding after a bare line feed", post("0\r\n\r\n", "X: y\nTransfer-Encoding: chunked") + next, "200 200"},
	{"coding in HTTP/1.0", head("POST /a HTTP/1.0", "Host: h", "Transfer-Encoding: chunked") + "0\r\n\r\n" + next, "200"},
	{"coding in HTTP/1.0, kept", head("POST /a HTTP/1.0", "Host: h", "Connection: keep-alive", "Transfer-Encoding: chunked", "Content-Length: 5") + "hello" + next, "200 200"},
	{"coding of head", head("HEAD /a HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + "0\r\n\r\n" + next, "200 200"},
}

var chunkCases = []bytesCase{
	{"chunks", chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "200 200"},
	{"chunk of size A", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "200 200"},
	{"chunk of size 0a", chunked("0a\r\n0123456789\r\n00\r\n\r\n"), "200 200"},
	{"chunk extension", chunked("1;a=b\r\nx\r\n0;c\r\n\r\n"), "200 200"},
	{"chunk extension, quoted line", chunked("1;a=\"\r\nx\r\n0\r\n\r\n"), "200 200"},
	{"chunk extension with a bare line feed", chunked("1;a\nx\r\n0\r\n\r\n"), "200"},
	{"chunk extension with a bare carriage return", chunked("1;a\rb\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size and a space", chunked("1 \r\nx\r\n0\r\n\r\n"), "200 200"},
	{"chunk size after a space", chunked(" 1\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size 0x1", chunked("0x1\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size +1", chunked("+1\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size -1", chunked("-1\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size 1_0", chunked("1_0\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size empty", chunked("\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size g", chunked("g\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size of 17 digits", chunked("10000000000000001\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk size of 16 digits", chunked("ffffffffffffffff\r\nx\r\n0\r\n\r\n"), "-"},
	{"chunk too short", chunked("5\r\nx\r\n0\r\n\r\n"), "200"},
	{"chunk too long", chunked("1\r\nxyz\r\n0\r\n\r\n"), "200"},
	{"chunk without an end", chunked("1\r\nx0\r\n\r\n"), "200"},
	{"chunk that ends in a line feed", chunked("1\r\nx\n0\r\n\r\n"), "200"},
	{"chunk that ends in a carriage return", chunked("1\r\nx\r0\r\n\r\n"), "200"},
	{"chunk size and a line feed", chunked("1\nx\r\n0\r\n\r\n"), "200"},
	{"last chunk and a line feed", chunked("1\r\nx\r\n0\n\r\n"), "200"},
	{"last chunk without an empty line", chunked("1\r\nx\r\n0\r\n"), "200"},
	{"trailer", chunked("1\r\nx\r\n0\r\nX-T: 1\r\n\r\n"), "200 200"},
	{"trailer declared", post("1\r\nx\r\n0\r\nX-T: 1\r\n\r\n", "Trailer: X-T", "Transfer-Encoding: chunked") + next, "200 200"},
	{"trailer with a length", chunked("1\r\nx\r\n0\r\nContent-Length: 50\r\n\r\n"), "200 200"},
	{"trailer that declares a length", post("0\r\n\r\n", "Trailer: Content-Length", "Transfer-Encoding: chunked") + next, "400"},
	{"trailer without a colon", chunked("0\r\nX\r\n\r\n"), "200"},
	{"trailer of a fold", chunked("0\r\n X: 1\r\n\r\n"), "200"},
	{"trailer that is a request", chunked("0\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n"), "200"},
}

func chunked(body string) string {
	return post(body, "Transfer-Encoding: chunked") + next
}
