package event

import "github.com/anteroomhq/anteroom/pkg/sale"

// Decoder reads entries as the core takes them, each as its method Record does.
// It is for many entries in a row: most are of the product that the one before
// was of, and their records share its name. The zero Decoder is ready for use,
// by one goroutine.
type Decoder struct {
	product sale.Product // of the last entry that had a key
}

// Record reads an entry. The record keeps nothing of the entry's memory.
func (d *Decoder) Record(e Entry) sale.Record {
	record := sale.Record{Offset: e.Offset, Time: e.Time, Body: Decode(e.Value)}
	if len(e.Key) == 0 { // a tick, as a rule: it takes the name from no product
		return record
	}
	if string(e.Key) != string(d.product) {
		d.product = sale.Product(e.Key)
	}
	record.Product = d.product
	return record
}
