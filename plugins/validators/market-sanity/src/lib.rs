//! A validator: refuses markets whose ticks, lots, quantities, fees or notionals no venue would have.
//!
//! What is nonsense anywhere (a negative tick) is refused by the registry itself; what is implausible is judged here,
//! by limits that the operator may set. An update is judged by what it changes, so that an old oddity never stands in
//! the way of a halt or a delisting.
//!
//! | module | subject |
//! |---|---|
//! | [`settings`] | the limits |
//! | [`market`] | the amounts of a market, as its document says them |
//! | [`rules`] | the rules |

pub mod market;
pub mod rules;
pub mod settings;

use cqar_plugin_validator::{
    Call, Change, Finding, Validator, document,
    plugin::{EntityType, Failure, Manifest, Plugin, Problem},
};

use crate::{
    market::Market,
    settings::{Limits, Settings},
};

/// The validator.
pub struct MarketSanity {
    limits: Limits,
}

impl Plugin for MarketSanity {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest {
            name: "market-sanity",
            version: env!("CARGO_PKG_VERSION"),
            description: "Refuses markets with implausible ticks, lots, quantities, fees or notionals.",
            subscriptions: &[EntityType::Market],
            settings_schema: settings::schema(),
            ..Manifest::default()
        }
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self { limits: Limits::try_from(settings)? })
    }
}

impl Validator for MarketSanity {
    fn validate(&self, _: &Call, change: &Change) -> Result<Vec<Finding>, Failure> {
        let Some(after) = change.after.as_deref().filter(|_| change.operation != "delete") else {
            return Ok(Vec::new());
        };
        let before = change.before.as_deref().map(document::read::<Market>).transpose()?;
        Ok(rules::judge(&self.limits, before.as_ref(), &document::read(after)?))
    }
}

cqar_plugin_validator::export!(MarketSanity);

#[cfg(test)]
mod tests {
    use super::*;

    fn sanity(settings: &str) -> Result<MarketSanity, Vec<Problem>> {
        MarketSanity::configure(serde_json::from_str(settings).unwrap())
    }

    fn validate(operation: &str, before: Option<&str>, after: Option<&str>) -> Result<Vec<Finding>, Failure> {
        let change = Change {
            operation: operation.to_owned(),
            entity_type: "market".to_owned(),
            id: String::new(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        sanity("{}").unwrap().validate(&Call::default(), &change)
    }

    #[test]
    fn a_creation_is_judged_whole() {
        let found = validate("create", None, Some(r#"{"tick_size": "0", "venue_symbol": "BTCUSDT"}"#)).unwrap();
        assert_eq!(found, [Finding::error("tick_size", "ZERO_TICK_SIZE", "must be above 0, or not given")]);
    }

    #[test]
    fn a_deletion_is_never_refused() {
        let market = r#"{"tick_size": "0"}"#;
        assert_eq!(validate("delete", Some(market), None).unwrap(), []);
        assert_eq!(validate("delete", Some(market), Some(market)).unwrap(), []);
    }

    #[test]
    fn a_delisting_is_judged_by_what_it_changes() {
        let (before, after) = (
            r#"{"tick_size": "0", "status": "MARKET_STATUS_ACTIVE"}"#,
            r#"{"tick_size": "0.0", "status": "MARKET_STATUS_DELISTED"}"#,
        );
        assert_eq!(validate("update", Some(before), Some(after)).unwrap(), []);
    }

    #[test]
    fn an_unreadable_document_fails_the_call() {
        assert_eq!(validate("create", None, Some("[]")).unwrap_err().code, "UNREADABLE_DOCUMENT");
    }

    #[test]
    fn bad_limits_are_refused_by_name() {
        let problems = sanity(r#"{"max_fee": "a lot", "max_rebate": "-1"}"#).err().unwrap();
        let named: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.code.as_str())).collect();
        assert_eq!(named, [("max_fee", "INVALID_DECIMAL"), ("max_rebate", "NEGATIVE")]);
    }
}
