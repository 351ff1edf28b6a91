package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// shop is a shop that sells what anteroom gives out.
type shop struct {
	anteroom *client.Client
	verifier *client.CheckoutVerifier
}

// pay is the page at the sale's checkout_url. The token says which hold the
// shopper has; the confirmation decides. A real shop authorises the payment
// before it and captures it after it.
func (s *shop) pay(w http.ResponseWriter, r *http.Request) {
	claims, err := s.verifier.VerifyRequest("console", r)
	switch {
	case errors.Is(err, client.ErrCheckoutExpired):
		http.Error(w, "Please go back to the waiting room.", http.StatusGone)
		return
	case errors.Is(err, client.ErrCheckoutToken):
		http.Error(w, "There is nothing to pay for here.", http.StatusForbidden)
		return
	case err != nil: // the keys could not be had
		http.Error(w, "Please try again.", http.StatusServiceUnavailable)
		return
	}
	status, err := s.anteroom.Confirm(r.Context(), claims.Request, "order-1")
	switch {
	case errors.Is(err, client.ErrUnknown), errors.Is(err, client.ErrUndecided):
		http.Error(w, "Please try again.", http.StatusServiceUnavailable) // with the same reference
		return
	case err != nil: // the authorisation is given back
		http.Error(w, "The time to pay is over.", http.StatusConflict)
		return
	}
	fmt.Fprintf(w, "%d × %s: %s", claims.Quantity, claims.Product, status.State)
}

// A shop sends its visitors into the line, waits with them, and lets those who
// come back with a token pay.
func Example_shop() {
	service := startService()
	defer service.Close()

	anteroom, err := client.New(client.Config{URL: service.URL, MerchantToken: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := client.NewCheckoutVerifier(client.CheckoutConfig{KeysURL: service.URL + "/.well-known/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	checkout := shop{anteroom, verifier}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := anteroom.Buy(ctx, "console", client.BuyOptions{Buyer: "ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	settled, err := anteroom.Wait(ctx, request.Ticket)
	if err != nil {
		fmt.Println(err)
		return
	}
	if !settled.CanCheckOut() {
		fmt.Println("sorry:", settled.State, settled.Reason)
		return
	}

	// The shopper's browser goes to settled.CheckoutURL.
	page := httptest.NewRecorder()
	checkout.pay(page, httptest.NewRequestWithContext(ctx, http.MethodGet, settled.CheckoutURL, nil))
	fmt.Println(page.Code, page.Body)

	page = httptest.NewRecorder()
	checkout.pay(page, httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example/pay?anteroom_token=made.up", nil))
	fmt.Print(page.Code, " ", page.Body)
	// Output:
	// 200 1 × console: confirmed
	// 403 There is nothing to pay for here.
}

// A shopper buys, and sees every change until the checkout is open.
func ExampleClient_Follow() {
	service := startService()
	defer service.Close()
	anteroom, err := client.New(client.Config{URL: service.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	request, err := anteroom.Buy(ctx, "console", client.BuyOptions{Buyer: "ada", Quantity: 1})
	switch {
	case client.HasCode(err, "sold_out"):
		fmt.Println("too late")
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	for status, err := range anteroom.Follow(ctx, request.Ticket) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if status.Position != nil {
			fmt.Println(status.State, "with", *status.Position, "ahead")
		}
		if status.Settled() {
			fmt.Println(status.State, "until", status.ExpiresAt.Format(time.TimeOnly))
			break
		}
	}
	// Output:
	// queued with 1 ahead
	// queued with 0 ahead
	// held until 10:08:00
}

// An operator opens a sale, adds units, pauses it, and looks at what was sold.
func ExampleClient_CreateSale() {
	service := startService()
	defer service.Close()
	anteroom, err := client.New(client.Config{URL: service.URL, OperatorToken: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	sale, err := anteroom.CreateSale(ctx, client.NewSale{
		Product: "console", Quantity: 100, Policy: "waitlist", CheckoutURL: "https://shop.example/pay",
		Actor: "mia", Reason: "launch",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	more := int64(150)
	sale, err = anteroom.UpdateSale(ctx, "console", sale.Version, client.SaleChange{Quantity: &more, Actor: "mia", Reason: "a late delivery"})
	if client.HasCode(err, "stale_version") {
		fmt.Println("somebody else has changed it")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sale.State, sale.Quantity)

	sale, err = anteroom.Pause(ctx, "console", client.Why{Actor: "mia", Reason: "the shop is slow"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sale.State)

	for request, err := range anteroom.AllRequests(ctx, "console", client.RequestQuery{State: "confirmed"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(request.ID, request.PaymentReference)
	}
	// Output:
	// open 150
	// paused
	// 0-2 order-1
	// 0-3 order-2
}
