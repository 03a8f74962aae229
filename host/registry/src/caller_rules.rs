//! What callers may not say of a market, and venues may: a listing is a statement of fact, however it sounds.

use std::sync::Arc;

use cqar_domain::{
    entities::{
        Entity,
        market::{Market, MarketStatus},
    },
    entity::TypedEntity,
    mutation::RequestedMutation,
    time::Timestamp,
    violation::Violation,
};
use cqar_proto::v1;

use crate::{
    error::Error,
    plan::{MutationError, Plan, PlannedChange, merge},
};

/// Refuses a plan of a caller's mutations that breaks one of the rules, and notes in the others what the caller changed, and from when:
/// a listing of an earlier moment does not overrule it.
pub(crate) fn check(mut plan: Plan, mutations: &[RequestedMutation], now: Timestamp) -> Result<Plan, Error> {
    let failures: Vec<MutationError> = plan
        .changes
        .iter()
        .filter_map(|change| {
            let path = mutations.get(change.mutation).map_or("", |it| it.field.as_str());
            let violation = forbidden_transition(change).or_else(|| contradiction(change, now))?.under(path);
            Some(MutationError { mutation: change.mutation, error: Error::Invalid(vec![violation]) })
        })
        .collect();
    if !failures.is_empty() {
        return Err(merge(failures));
    }
    plan.changes.iter_mut().for_each(|change| note_overrides(change, now));
    Ok(plan)
}

/// What a market may not become any more.
fn forbidden_transition(change: &PlannedChange) -> Option<Violation> {
    let (Some(Entity::Market(before)), Some(Entity::Market(after))) = (&change.before, &change.after) else {
        return None;
    };
    let name = |status| v1::MarketStatus::from(status).as_str_name();
    let (from, to) = (before.status, after.status);
    (!from.can_become(to)).then(|| Violation {
        field: "status".to_owned(),
        code: "STATUS_TRANSITION".to_owned(),
        message: format!("must not become {} of a market that is {}", name(to), name(from)),
    })
}

fn note_overrides(change: &mut PlannedChange, now: Timestamp) {
    let (Some(Entity::Market(before)), Some(Entity::Market(after))) = (&change.before, &mut change.after) else {
        return;
    };
    let changed = before.changed_fields(after);
    let since = change.effective_time.unwrap_or(now);
    let after = Arc::make_mut(after);
    if changed.contains(&"delisted_time") {
        after.delisted_inferred = false;
    }
    // Of the labels a listing changes none but its own.
    let changed = changed.into_iter().filter(|field| *field != "labels");
    after.override_times.extend(changed.map(|field| (field.to_owned(), since)));
}

/// A status that contradicts the times beside it, where either is said anew.
fn contradiction(change: &PlannedChange, now: Timestamp) -> Option<Violation> {
    let Some(Entity::Market(after)) = &change.after else { return None };
    let says = |market: &Market| (market.status, market.listed_time, market.delisted_time, market.expiry_time);
    if matches!(&change.before, Some(Entity::Market(before)) if says(before) == says(after)) {
        return None;
    }
    let message = format!("must agree with the times: {}", status_contradiction(after, now)?);
    Some(Violation { field: "status".to_owned(), code: "STATUS_CONTRADICTS_TIMES".to_owned(), message })
}

/// What of a market's times its status contradicts at a moment, if anything.
pub(crate) fn status_contradiction(market: &Market, at: Timestamp) -> Option<String> {
    let begins_later = market.listed_time.filter(|listed| *listed > at);
    let began = market.listed_time.filter(|listed| *listed <= at);
    let until = market.interval().until;
    Some(match market.status {
        MarketStatus::Announced | MarketStatus::PreLaunch => format!("the market is listed since {}", began?),
        MarketStatus::Active | MarketStatus::Halted | MarketStatus::Delisting => match (begins_later, until) {
            (Some(listed), _) => format!("the market is listed only at {listed}"),
            (None, Some(until)) if until <= at => format!("the market ended at {until}"),
            (None, _) => return None,
        },
        MarketStatus::Delisted | MarketStatus::Expired | MarketStatus::Settled => match until {
            Some(until) if until <= at => return None,
            Some(until) => format!("the market ends only at {until}"),
            None => "the market has no end".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use MarketStatus::{Active, Announced, Delisted, Delisting, Expired, Halted, PreLaunch, Settled};

    use super::*;

    fn time(hour: i64) -> Timestamp {
        Timestamp::from_micros(hour * 3_600_000_000).unwrap()
    }

    fn said(status: MarketStatus, listed: Option<i64>, delisted: Option<i64>, expiry: Option<i64>) -> Market {
        use cqar_domain::{
            decimal::Decimal,
            entity::Meta,
            id::{InstrumentId, MarketId, SystemIds},
        };
        Market {
            id: MarketId::new(&SystemIds),
            venue_id: "okx".parse().unwrap(),
            segment: "spot".parse().unwrap(),
            venue_symbol: "A".into(),
            instrument_id: InstrumentId::new(&SystemIds),
            aliases: Vec::new(),
            unit_multiplier: Decimal::one(),
            contract_size: None,
            quantity_unit: None,
            tick_size: None,
            lot_size: None,
            min_quantity: None,
            max_quantity: None,
            min_notional: None,
            maker_fee: None,
            taker_fee: None,
            funding_interval: None,
            status,
            listed_time: listed.map(time),
            delisted_time: delisted.map(time),
            delisted_inferred: false,
            expiry_time: expiry.map(time),
            labels: [].into(),
            override_times: [].into(),
            meta: Meta::default(),
        }
    }

    fn change(before: Option<Market>, after: Market) -> PlannedChange {
        PlannedChange {
            before: before.map(Into::into),
            after: Some(after.into()),
            effective_time: None,
            reason: String::new(),
            mutation: 0,
        }
    }

    #[test]
    fn a_status_agrees_with_the_times() {
        const NOW: i64 = 10;
        let refused = |status, listed, delisted, expiry| {
            contradiction(&change(None, said(status, listed, delisted, expiry)), time(NOW)).is_some()
        };
        for status in [Announced, PreLaunch] {
            assert!(!refused(status, None, None, None) && !refused(status, Some(11), None, None));
            assert!(refused(status, Some(10), None, None));
        }
        for status in [Active, Halted, Delisting] {
            assert!(!refused(status, None, None, None) && !refused(status, Some(10), Some(11), Some(12)));
            assert!(refused(status, Some(11), None, None), "not listed yet");
            assert!(refused(status, None, Some(10), None) && refused(status, None, None, Some(10)), "ended");
        }
        for status in [Delisted, Expired, Settled] {
            assert!(!refused(status, None, Some(10), None) && !refused(status, None, None, Some(9)));
            assert!(refused(status, None, None, None) && refused(status, None, Some(11), Some(12)), "not ended");
        }
    }

    #[test]
    fn what_is_not_said_anew_is_not_judged_anew() {
        let expired = || said(Active, None, None, Some(5));
        let priced = Market { tick_size: Some("0.1".parse().unwrap()), ..expired() };
        assert!(contradiction(&change(Some(expired()), priced), time(10)).is_none(), "nobody wrote its end yet");
        let halted = Market { status: Halted, ..expired() };
        assert!(contradiction(&change(Some(expired()), halted), time(10)).is_some());
    }
}
