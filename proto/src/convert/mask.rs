//! Field masks (AIP-134, AIP-161): which fields of a message an update takes.

use cqar_domain::violation::Violations;

/// A message whose fields an update can name.
pub trait Masked: Default {
    /// The fields that an update may change.
    const MUTABLE: &'static [&'static str];
    /// The fields that an update may name, but only with their present value, in whichever spelling.
    const IMMUTABLE: &'static [&'static str];

    /// Whether a field differs from its default.
    fn is_set(&self, field: &str) -> bool;

    /// Whether a field has the same value in both.
    fn same(&self, other: &Self, field: &str) -> bool;

    /// Takes a field's value from another message.
    fn copy(&mut self, from: &Self, field: &str);
}

/// Filled in by the server: a mask may name them, to no effect.
const OUTPUT_ONLY: &[&str] = &[
    "id",
    "caip19",
    "code",
    "revision",
    "etag",
    "create_time",
    "update_time",
    "delete_time",
    "delisted_inferred",
    "override_times",
];

/// Lays the masked fields of `from` over `onto`, and returns those of them that are immutable and written otherwise than they were:
/// whether they are the same is known once they are read.
pub(super) fn apply_mask<M: Masked>(
    onto: &mut M,
    from: &M,
    mask: &[String],
    found: &mut Violations,
) -> Vec<&'static str> {
    let everything = mask.iter().any(|path| path == "*");
    let is_named = |field: &str| mask.iter().any(|path| path == field);
    for path in mask.iter().filter(|path| *path != "*") {
        let path = path.as_str();
        if !M::MUTABLE.contains(&path) && !M::IMMUTABLE.contains(&path) && !OUTPUT_ONLY.contains(&path) {
            let allowed = M::MUTABLE.join(", ");
            found.add("update_mask", "UNKNOWN_FIELD", format_args!("{path:?} is none of the fields {allowed}"));
        }
    }
    for field in M::MUTABLE {
        if everything || is_named(field) || (mask.is_empty() && from.is_set(field)) {
            onto.copy(from, field);
        }
    }
    // Outside of the mask they are ignored, so that a client may send back the whole of what it read (AIP-134).
    let is_meant = |field: &str| is_named(field) || ((everything || mask.is_empty()) && from.is_set(field));
    let rewritten = M::IMMUTABLE.iter().copied().filter(|field| is_meant(field) && !onto.same(from, field));
    let rewritten: Vec<&'static str> = rewritten.collect();
    for field in &rewritten {
        onto.copy(from, field);
    }
    rewritten
}

/// The fields of a message, but for those that the server fills in: those that an update may change, then those that it
/// may not.
macro_rules! masked {
    ($message:ty: [$($mutable:ident $(as $mutable_name:literal)?),+], [$($immutable:ident $(as $immutable_name:literal)?),*]) => {
        impl $crate::convert::mask::Masked for $message {
            const MUTABLE: &'static [&'static str] = &[$($crate::convert::mask::masked!(@name $mutable $($mutable_name)?)),+];
            const IMMUTABLE: &'static [&'static str] = &[$($crate::convert::mask::masked!(@name $immutable $($immutable_name)?)),*];

            fn is_set(&self, field: &str) -> bool {
                !self.same(&Self::default(), field)
            }

            fn same(&self, other: &Self, field: &str) -> bool {
                $(if field == $crate::convert::mask::masked!(@name $mutable $($mutable_name)?) { return self.$mutable == other.$mutable; })+
                $(if field == $crate::convert::mask::masked!(@name $immutable $($immutable_name)?) { return self.$immutable == other.$immutable; })*
                true
            }

            fn copy(&mut self, from: &Self, field: &str) {
                $(if field == $crate::convert::mask::masked!(@name $mutable $($mutable_name)?) { self.$mutable = from.$mutable.clone(); })+
                $(if field == $crate::convert::mask::masked!(@name $immutable $($immutable_name)?) { self.$immutable = from.$immutable.clone(); })*
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}

pub(super) use masked;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn update(from: &v1::Asset, mask: &[&str]) -> (v1::Asset, Vec<String>) {
        let mut onto = v1::Asset { symbol: "BTC".into(), name: "Bitcoin".into(), ..Default::default() };
        let mut found = Violations::default();
        let mask: Vec<String> = mask.iter().map(ToString::to_string).collect();
        apply_mask(&mut onto, from, &mask, &mut found);
        (onto, found.into_vec().into_iter().map(|v| v.code).collect())
    }

    #[test]
    fn a_mask_takes_what_it_names_and_leaves_the_rest() {
        let from = v1::Asset { symbol: "XBT".into(), category: "coin".into(), ..Default::default() };
        let (named, _) = update(&from, &["category"]);
        assert_eq!((named.symbol.as_str(), named.category.as_str()), ("BTC", "coin"));
        let (set, _) = update(&from, &[]);
        assert_eq!((set.symbol.as_str(), set.name.as_str()), ("XBT", "Bitcoin"));
        let (all, _) = update(&from, &["*"]);
        assert_eq!((all.symbol.as_str(), all.name.as_str()), ("XBT", ""));
    }

    #[test]
    fn a_mask_with_an_unknown_field_is_refused() {
        assert_eq!(update(&v1::Asset::default(), &["ticker"]).1, ["UNKNOWN_FIELD"]);
        assert_eq!(update(&v1::Asset::default(), &["etag", "revision"]).1, [""; 0]);
    }

    #[test]
    fn an_immutable_field_that_is_written_otherwise_is_told() {
        let mut onto = v1::VenueAsset { venue_id: "binance".into(), code: "BTC".into(), ..Default::default() };
        let mut found = Violations::default();
        let mut apply = |code: &str| {
            apply_mask(&mut onto, &v1::VenueAsset { code: code.into(), ..Default::default() }, &[], &mut found)
        };
        assert_eq!(apply("BTC"), [""; 0]);
        assert_eq!(apply("XBT"), ["code"]);
        assert!(found.is_empty());
    }

    #[test]
    fn terms_are_named_by_their_kind() {
        use v1::instrument::Terms;
        let spot = |base: &str| v1::SpotTerms { base_asset_id: base.into(), quote_asset_id: "usdt".into() };
        let instrument = |terms| v1::Instrument { terms: Some(terms), ..Default::default() };
        let same = instrument(Terms::Spot(spot("btc")));
        let other = instrument(Terms::Spot(spot("eth")));
        let kind = instrument(Terms::LendingDeposit(v1::LendingTerms::default()));
        for (from, mask, expected) in [
            (&same, "spot", None),
            (&other, "spot", Some("spot")),
            (&other, "labels", None),
            (&other, "*", Some("spot")),
            (&kind, "", Some("lending_deposit")),
        ] {
            let (mut onto, mut found) = (same.clone(), Violations::default());
            let mask: Vec<String> = Some(mask.to_owned()).filter(|it| !it.is_empty()).into_iter().collect();
            let rewritten = apply_mask(&mut onto, from, &mask, &mut found);
            assert_eq!((rewritten.first().copied(), found.is_empty()), (expected, true), "{mask:?}");
        }
        let mut found = Violations::default();
        apply_mask(&mut same.clone(), &same, &["terms".to_owned()], &mut found);
        assert_eq!(found.into_vec()[0].code, "UNKNOWN_FIELD");
    }

    #[test]
    fn an_immutable_field_outside_of_the_mask_is_ignored() {
        let from = v1::VenueAsset { code: "XBT".into(), asset_id: "a".into(), ..Default::default() };
        for (mask, code) in [("asset_id", "BTC"), ("code", "XBT"), ("*", "XBT")] {
            let mut onto = v1::VenueAsset { code: "BTC".into(), ..Default::default() };
            apply_mask(&mut onto, &from, &[mask.to_owned()], &mut Violations::default());
            assert_eq!(onto.code, code, "{mask}");
        }
    }
}
