//! How many records the next statement takes, while some of them are refused.
//!
//! Of a refused statement's records the first half is tried next: where it is
//! stored, the bad one is in the other half, which need not be tried as a whole.
//! Past the first bad record the statements are half as long, and twice as long
//! again whenever one is stored: many bad records cost about one statement each.
//!
//! Where nothing is stored, the search is spent after a number of statements
//! that grows with the logarithm of the batch.

/// Statements beyond those that find one record, before the search is spent.
const BEYOND: usize = 5;

/// A search through a batch.
pub(super) struct Search {
    /// So many records at the front hold a bad one.
    suspects: usize,
    /// Records to try at once where nothing is known of them.
    unknown_max: usize,
    /// Statements that may still be refused with nothing stored.
    refusals_left: Option<usize>,
}

impl Search {
    pub(super) fn over(records: usize) -> Self {
        Self {
            suspects: 0,
            unknown_max: records.max(1),
            refusals_left: Some(records.max(1).ilog2() as usize + 1 + BEYOND),
        }
    }

    /// Of so many records that are left, how many to try; at least one.
    pub(super) fn next(&self, left: usize) -> usize {
        match self.suspects {
            0 => self.unknown_max.min(left),
            1 => 1,
            suspects => suspects / 2,
        }
    }

    /// Whether it is time to look elsewhere.
    pub(super) fn is_spent(&self) -> bool {
        self.refusals_left == Some(0)
    }

    /// Something was stored with fresh rows: the search goes on to its end.
    pub(super) fn found_good(&mut self) {
        self.refusals_left = None;
    }

    /// Records were taken out of the order: nothing is known of the rest.
    pub(super) fn forget(&mut self) {
        self.suspects = 0;
    }

    pub(super) fn stored(&mut self, records: usize) {
        if self.suspects == 0 {
            // Statements that are short for their bytes may be many.
            self.unknown_max = self.unknown_max.saturating_mul(2);
        }
        self.suspects = self.suspects.saturating_sub(records);
    }

    pub(super) fn refused(&mut self, records: usize) {
        if self.suspects == 0 {
            self.unknown_max = (records / 2).max(1);
        }
        if let Some(left) = &mut self.refusals_left {
            *left = left.saturating_sub(1);
        }
        // A single one is found out: nothing is known of those behind it.
        self.suspects = if records > 1 { records } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How many statements it takes until each record is stored, or refused
    /// alone, or the search is spent.
    fn statements(records: usize, bad: &BTreeSet<usize>) -> (usize, usize) {
        let mut search = Search::over(records);
        let (mut at, mut statements) = (0, 0);
        while at < records && !search.is_spent() {
            let next = search.next(records - at);
            assert!((1..=records - at).contains(&next));
            statements += 1;
            if bad.range(at..at + next).next().is_none() {
                search.found_good();
                search.stored(next);
                at += next;
            } else {
                search.refused(next);
                at += usize::from(next == 1);
            }
        }
        (statements, at)
    }

    fn log2(records: usize) -> usize {
        records.next_power_of_two().ilog2() as usize
    }

    #[test]
    fn a_good_batch_is_one_statement() {
        assert_eq!(statements(500, &BTreeSet::new()), (1, 500));
    }

    #[test]
    fn a_batch_of_bad_records_is_given_up_soon() {
        let (statements, found) = statements(500, &(0..500).collect());
        assert!(statements <= log2(500) + 1 + BEYOND, "{statements}");
        assert!(found >= 1, "not one was tried alone");
    }

    #[test]
    fn a_single_record_is_tried_alone() {
        assert_eq!(statements(1, &BTreeSet::from([0])), (1, 1));
        for records in 2..40 {
            let bad = BTreeSet::from([0]);
            assert_eq!(statements(records, &bad).1, records, "of {records}");
        }
    }

    proptest! {
        /// Beside the statements that find all that is between them good: at
        /// most five were counted, over every one or two of 256 records.
        #[test]
        fn a_bad_record_costs_log2_and_one_statements(
            records in 1..600_usize,
            bad in prop::collection::btree_set(0..600_usize, 0..20),
        ) {
            let bad: BTreeSet<usize> = bad.range(..records).copied().collect();
            let allowed = 8 + bad.len() * (log2(records) + 1);
            let (statements, _) = statements(records, &bad);
            prop_assert!(statements <= allowed, "{statements} of {allowed}");
        }
    }
}
