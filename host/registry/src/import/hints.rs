//! What a listing says of its codes beside their names: it tells assets of one code apart.

use std::collections::BTreeMap;

use cqar_domain::{entities::asset::AssetType, id::Segment, text::NAME, violation::Violations};
use cqar_plugins::{ListedAsset, RowProblem};

/// What an asset is a claim on. Venues that trade more than one class say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssetClass {
    Crypto,
    Fiat,
    Commodity,
    Equity,
    Index,
}

/// What is said of one code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Hint `asset_class`.
    pub(super) class: Option<AssetClass>,
    /// Hint `name`.
    pub(super) name: Option<String>,
}

/// What is said of all codes, by segment; the default segment is every one.
#[derive(Debug, Default)]
pub(super) struct CodeHints {
    by_code: BTreeMap<(Segment, String), Hints>,
    problems: Vec<(String, RowProblem)>,
}

impl AssetClass {
    const ALL: [Self; 5] = [Self::Crypto, Self::Fiat, Self::Commodity, Self::Equity, Self::Index];

    /// The value of the hint.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Crypto => "crypto",
            Self::Fiat => "fiat",
            Self::Commodity => "commodity",
            Self::Equity => "equity",
            Self::Index => "index",
        }
    }

    /// The class of assets of a type; none of those of which nothing is known.
    pub(super) const fn of(asset_type: AssetType) -> Option<Self> {
        match asset_type {
            AssetType::Coin
            | AssetType::Token
            | AssetType::Stablecoin
            | AssetType::Wrapped
            | AssetType::Receipt
            | AssetType::LpToken
            | AssetType::Synthetic
            | AssetType::Nft => Some(Self::Crypto),
            AssetType::Fiat => Some(Self::Fiat),
            AssetType::Commodity => Some(Self::Commodity),
            AssetType::Equity => Some(Self::Equity),
            AssetType::Index => Some(Self::Index),
            AssetType::Unclassified => None,
        }
    }

    /// The type of an asset of which nothing but the class is known.
    const fn asset_type(self) -> AssetType {
        match self {
            Self::Crypto => AssetType::Unclassified,
            Self::Fiat => AssetType::Fiat,
            Self::Commodity => AssetType::Commodity,
            Self::Equity => AssetType::Equity,
            Self::Index => AssetType::Index,
        }
    }
}

impl Hints {
    /// Whether what is said keeps a code apart from the same code elsewhere: coins are what codes mean unless something else is said.
    pub(super) fn is_apart(&self) -> bool {
        self.name.is_some() || self.class.is_some_and(|class| class != AssetClass::Crypto)
    }

    /// What is said, and what an asset of that type is, where it cannot be what is meant. What nobody classified was created from a
    /// listing that said nothing of its class, as of coins.
    pub(super) fn contradiction(&self, asset_type: AssetType) -> Option<(AssetClass, AssetClass)> {
        let (said, is) = (self.class?, AssetClass::of(asset_type).unwrap_or(AssetClass::Crypto));
        (said != is).then_some((said, is))
    }

    /// Whether a code that is bound to nothing may mean an asset of that type. What is no money and no crypto asset must be said: its
    /// tickers are those of coins, too.
    pub(super) fn may_mean(&self, asset_type: AssetType) -> bool {
        let is = AssetClass::of(asset_type).unwrap_or(AssetClass::Crypto);
        match self.class {
            Some(said) => said == is,
            None => matches!(is, AssetClass::Crypto | AssetClass::Fiat),
        }
    }

    /// The type of an asset that is created for the code.
    pub(super) fn asset_type(&self) -> AssetType {
        self.class.map_or(AssetType::Unclassified, AssetClass::asset_type)
    }
}

impl CodeHints {
    /// Reads what a listing says. What it says twice and differently it does not say.
    pub(super) fn new(assets: Vec<ListedAsset>) -> Self {
        let mut hints = Self::default();
        let mut said: BTreeMap<(Segment, String), BTreeMap<String, Option<String>>> = BTreeMap::new();
        for ListedAsset { code, segment, hints: of_code, problems } in assets {
            hints.problems.extend(problems.into_iter().map(|problem| (code.clone(), problem)));
            let said = said.entry((segment.unwrap_or_default(), code)).or_default();
            for (key, value) in of_code {
                let entry = said.entry(key).or_insert_with(|| Some(value.clone()));
                if entry.as_ref() != Some(&value) {
                    *entry = None;
                }
            }
        }
        for (key, said) in said {
            let of_code = hints.read(&key.1, said);
            hints.by_code.insert(key, of_code);
        }
        hints
    }

    /// The hints that the registry understands; the others are for later ones.
    fn read(&mut self, code: &str, said: BTreeMap<String, Option<String>>) -> Hints {
        let mut hints = Hints::default();
        for (key, value) in said {
            let Some(value) = value else {
                self.problem(code, &key, "CONTRADICTION", "is said twice, and differently: neither counts".to_owned());
                continue;
            };
            match key.as_str() {
                "asset_class" => {
                    hints.class = AssetClass::ALL.into_iter().find(|class| class.name() == value);
                    if hints.class.is_none() {
                        let names = AssetClass::ALL.map(AssetClass::name).join(", ");
                        self.problem(code, &key, "UNKNOWN_VALUE", format!("{value:?} is none of {names}"));
                    }
                }
                "name" => {
                    let mut found = Violations::default();
                    NAME.check("name", &value, &mut found);
                    match found.into_result() {
                        Ok(()) => hints.name = Some(value),
                        Err(found) => {
                            let why: Vec<String> = found.iter().map(ToString::to_string).collect();
                            self.problem(code, &key, "MALFORMED_VALUE", why.join("; "));
                        }
                    }
                }
                _ => {}
            }
        }
        hints
    }

    fn problem(&mut self, code: &str, hint: &str, kind: &str, message: String) {
        let problem = RowProblem { path: format!("hints.{hint}"), code: kind.to_owned(), message };
        self.problems.push((code.to_owned(), problem));
    }

    /// What is said of a code in a segment: each hint as it is said of that segment, or else of all of them.
    pub(super) fn of(&self, segment: &Segment, code: &str) -> Hints {
        let of = |segment: &Segment| self.by_code.get(&(segment.clone(), code.to_owned())).cloned().unwrap_or_default();
        let (own, general) = (of(segment), of(&Segment::default()));
        Hints { class: own.class.or(general.class), name: own.name.or(general.name) }
    }

    /// Whether something is said of a code in this very segment that keeps it apart: what it means there says nothing about others.
    pub(super) fn tells_segment(&self, segment: &Segment, code: &str) -> bool {
        let of = self.by_code.get(&(segment.clone(), code.to_owned()));
        *segment != Segment::default() && of.is_some_and(Hints::is_apart)
    }

    /// The fields that could not be read, with the code that they were said of.
    pub(super) fn problems(&self) -> &[(String, RowProblem)] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(code: &str, segment: Option<&str>, hints: &[(&str, &str)]) -> ListedAsset {
        ListedAsset {
            code: code.into(),
            segment: segment.map(|it| it.parse().unwrap()),
            hints: hints.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn what_is_said_of_a_segment_goes_before_what_is_said_of_all() {
        let usdm: Segment = "usdm".parse().unwrap();
        let hints = CodeHints::new(vec![
            listed("META", None, &[("asset_class", "crypto"), ("chain", "solana")]),
            listed("META", Some("usdm"), &[("asset_class", "equity"), ("name", "Meta Platforms")]),
            listed("META", Some("coinm"), &[("name", "Metadium")]),
        ]);
        let coinm = hints.of(&"coinm".parse().unwrap(), "META");
        assert_eq!((coinm.class, coinm.name.as_deref()), (Some(AssetClass::Crypto), Some("Metadium")));
        assert!(hints.tells_segment(&usdm, "META") && !hints.tells_segment(&"spot".parse().unwrap(), "META"));
        assert_eq!(hints.of(&usdm, "META").class, Some(AssetClass::Equity));
        assert_eq!(hints.of(&usdm, "META").name.as_deref(), Some("Meta Platforms"));
        assert_eq!(hints.of(&"spot".parse().unwrap(), "META").class, Some(AssetClass::Crypto));
        assert_eq!(hints.of(&usdm, "BTC"), Hints::default());
        assert!(hints.problems().is_empty());
    }

    #[test]
    fn a_hint_contradicts_assets_of_another_class_and_what_nobody_classified_counts_as_a_coin() {
        let equity = Hints { class: Some(AssetClass::Equity), name: None };
        let contradicts = |hints: &Hints, asset_type| hints.contradiction(asset_type).is_some();
        assert!(contradicts(&equity, AssetType::Token) && contradicts(&equity, AssetType::Index));
        assert!(!contradicts(&equity, AssetType::Equity) && contradicts(&equity, AssetType::Unclassified));
        assert!(!contradicts(&Hints::default(), AssetType::Token));
        let may_mean = |class, asset_type| Hints { class, name: None }.may_mean(asset_type);
        assert!(may_mean(Some(AssetClass::Equity), AssetType::Equity) && !may_mean(None, AssetType::Equity));
        assert!(
            !may_mean(Some(AssetClass::Equity), AssetType::Unclassified) && may_mean(None, AssetType::Unclassified)
        );
        assert!(may_mean(None, AssetType::Fiat) && may_mean(Some(AssetClass::Crypto), AssetType::Coin));
        assert_eq!((equity.asset_type(), Hints::default().asset_type()), (AssetType::Equity, AssetType::Unclassified));
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_does_not_count() {
        let hints = CodeHints::new(vec![
            listed("A", None, &[("asset_class", "stock"), ("name", "")]),
            listed("B", None, &[("asset_class", "fiat")]),
            listed("B", None, &[("asset_class", "crypto")]),
        ]);
        let everywhere = Segment::default();
        assert_eq!((hints.of(&everywhere, "A"), hints.of(&everywhere, "B")), (Hints::default(), Hints::default()));
        let problems: Vec<_> = hints.problems().iter().map(|(code, it)| (code.as_str(), it.code.as_str())).collect();
        assert_eq!(problems, [("A", "UNKNOWN_VALUE"), ("A", "MALFORMED_VALUE"), ("B", "CONTRADICTION")]);
    }
}
