package rival

// Parts of statements that several kinds share. $1 is the sale, $2 the buyer.
const (
	holdSeconds = "480"

	// lifeOfHold are created_at and expires_at.
	lifeOfHold = `now(), now() + interval '` + holdSeconds + ` seconds'`

	// earlierHold is what the buyer has from before.
	earlierHold = `SELECT id, created_at, expires_at FROM rival_holds WHERE sale = $1 AND buyer = $2`

	// earlierOutcome is the same as an answer of its own.
	earlierOutcome = `SELECT 'repeated', id, created_at, expires_at FROM rival_holds WHERE sale = $1 AND buyer = $2`

	// takeAvailable takes a unit and writes its hold, if any is available and
	// the buyer has none. A sold-out row is passed over without a lock: its
	// version in the snapshot says that nothing is available.
	//
	// Of two clicks of one buyer that wait for the row together, the second one's
	// snapshot has no hold of the first: it runs into the unique constraint, and
	// nothing is left of it. Or the first took the last unit: then the answer is
	// 'locked', as for all who waited for the row and found it sold out, and a
	// newer snapshot says which it is. Nothing at all means that the snapshot
	// was sold out, and that the buyer had no hold in it.
	takeAvailable = `
		WITH earlier AS (` + earlierHold + `), taken AS (
			UPDATE rival_stock SET available = available - 1
			WHERE sale = $1 AND available > 0 AND NOT EXISTS (SELECT FROM earlier)
			RETURNING sale
		), fresh AS (
			INSERT INTO rival_holds (sale, buyer, created_at, expires_at)
			SELECT sale, $2, ` + lifeOfHold + ` FROM taken
			RETURNING id, created_at, expires_at
		)
		SELECT 'held', id, created_at, expires_at FROM fresh
		UNION ALL SELECT 'repeated', id, created_at, expires_at FROM earlier
		UNION ALL SELECT 'locked', NULL, NULL, NULL
			WHERE NOT EXISTS (SELECT FROM fresh) AND NOT EXISTS (SELECT FROM earlier)
			AND EXISTS (SELECT FROM rival_stock WHERE sale = $1 AND available > 0)`

	// readStock is what there is, with what the buyer has from before.
	readStock = `
		SELECT s.available, s.version, h.id, h.created_at, h.expires_at
		FROM rival_stock s LEFT JOIN rival_holds h ON h.sale = s.sale AND h.buyer = $2
		WHERE s.sale = $1`
)
