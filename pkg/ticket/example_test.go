package ticket_test

import (
	"fmt"
	"log"

	"github.com/anteroomhq/anteroom/pkg/ticket"
)

func Example() {
	keys, err := ticket.ParseKeys("ANTEROOM_TICKET_KEYS",
		"k2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=,k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		log.Fatal(err)
	}
	keyring, err := ticket.NewKeyring(keys)
	if err != nil {
		log.Fatal(err)
	}
	text, err := keyring.Sign(ticket.Ticket{
		Log:        ticket.LogIDOf([16]byte{1, 2, 3, 4, 5, 6, 7, 8}),
		Partition:  3,
		Offset:     123456,
		Sale:       42,
		Product:    "sneaker-42",
		Quantity:   1,
		AcceptedAt: 1767225600000,
	})
	if err != nil {
		log.Fatal(err)
	}

	request, err := keyring.Verify(text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(request.PublicID(), request.Product, request.Quantity)

	_, err = keyring.Verify(text[1:])
	fmt.Println(err)

	watermark, ok := keyring.ReadMark(text, keyring.Mark(text, 123000))
	fmt.Println(request.Offset-watermark, ok)

	fmt.Println(keys)
	// Output:
	// 3-123456 sneaker-42 1
	// invalid ticket
	// 456 true
	// k2:REDACTED,k1:REDACTED
}
