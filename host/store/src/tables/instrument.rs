//! Table `instruments`. The canonical code follows from the terms and today's symbols: a write that changes a symbol changes
//! the instruments whose code it is part of in the same revision, so the column never disagrees with the symbols.

use cqar_domain::{
    entities::instrument::{DerivativeAssets, ExerciseStyle, Instrument, InstrumentKind, OptionType, Terms},
    id::{AssetId, EntityType, InstrumentId},
};
use cqar_proto::v1;
use uuid::Uuid;

use super::{JsonText, MetaRow, Table, json_value, meta_values, named, parse, time_value};
use crate::{
    database::Value,
    filter::Filter,
    schema::{IndexedFilter, Reference},
};

/// Which instruments to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct InstrumentFilter {
    /// The kind.
    pub kind: Option<InstrumentKind>,
    /// The base or underlying.
    pub base_asset_id: Option<AssetId>,
    /// The quote.
    pub quote_asset_id: Option<AssetId>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<InstrumentFilter> for Filter {
    fn from(filter: InstrumentFilter) -> Self {
        Self::of(Instrument::SCHEMA)
            .and_text("kind", filter.kind.map(InstrumentKind::name))
            .and("base_asset_id", filter.base_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and("quote_asset_id", filter.quote_asset_id.map(|id| Value::Uuid(id.uuid())))
            .show_deleted(filter.show_deleted)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct InstrumentRow {
    id: Uuid,
    kind: String,
    base_asset_id: Uuid,
    quote_asset_id: Option<Uuid>,
    settle_asset_id: Option<Uuid>,
    expiry: Option<String>,
    strike: Option<String>,
    option_type: Option<String>,
    exercise_style: Option<String>,
    protocol: Option<String>,
    code: String,
    labels: String,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for Instrument {
    type Row = InstrumentRow;
    const NAME: &'static str = "instruments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "base_asset_id",
        "quote_asset_id",
        "settle_asset_id",
        "expiry",
        "strike",
        "option_type",
        "exercise_style",
        "protocol",
        "code",
        "labels",
        "revision",
        "create_us",
        "update_us",
        "delete_us",
    ];
    const SELECT: &'static str = "SELECT e.id, e.kind, e.base_asset_id, e.quote_asset_id, e.settle_asset_id, e.expiry, \
        e.strike, e.option_type, e.exercise_style, e.protocol, e.code, e.labels, e.revision, e.create_us, e.update_us, \
        e.delete_us FROM instruments e";
    const REFERENCES: &'static [Reference] = &[
        Reference { column: "base_asset_id", target: EntityType::Asset, index: "instruments_base" },
        Reference { column: "quote_asset_id", target: EntityType::Asset, index: "instruments_quote" },
        Reference { column: "settle_asset_id", target: EntityType::Asset, index: "instruments_settle" },
    ];
    // So are the indexes by assets, nearly: the code begins with their symbols.
    const WRITTEN_BY: Option<&'static str> = Some("code");
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["base_asset_id", "quote_asset_id"], "instruments_pair"),
        IndexedFilter::by(&["base_asset_id"], "instruments_base"),
        IndexedFilter::by(&["quote_asset_id"], "instruments_quote"),
    ];

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        let (option_type, style) = match &self.terms {
            Terms::Option { option_type, style, .. } => {
                let option_type = v1::OptionType::from(*option_type).as_str_name();
                (Some(option_type.to_owned()), Some(v1::ExerciseStyle::from(*style).as_str_name().to_owned()))
            }
            _ => (None, None),
        };
        let strike = match &self.terms {
            Terms::Option { strike, .. } => Some(strike.to_string()),
            _ => None,
        };
        let protocol = match &self.terms {
            Terms::LendingDeposit { protocol, .. } | Terms::LendingBorrow { protocol, .. } => {
                Some(protocol.to_string())
            }
            _ => None,
        };
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.terms.kind().name().to_owned()),
            Value::Uuid(self.terms.base().uuid()),
            Value::OptUuid(self.terms.quote().map(AssetId::uuid)),
            Value::OptUuid(self.terms.settle().map(AssetId::uuid)),
            Value::OptText(self.terms.expiry().map(|date| date.to_string())),
            Value::OptText(strike),
            Value::OptText(option_type),
            Value::OptText(style),
            Value::OptText(protocol),
            Value::Text(self.code.clone()),
            json_value(&self.labels),
            revision,
            create,
            update,
            time_value(self.meta.delete_time),
        ]
    }

    fn read(row: InstrumentRow) -> Result<Self, String> {
        Ok(Self {
            id: super::id("id", InstrumentId::from_uuid(row.id))?,
            terms: terms(&row)?,
            code: row.code,
            labels: JsonText::from_json("labels", &row.labels)?,
            meta: row.meta.read()?,
        })
    }
}

fn terms(row: &InstrumentRow) -> Result<Terms, String> {
    let base = super::id("base_asset_id", AssetId::from_uuid(row.base_asset_id))?;
    let asset = |column: &str, id: Option<Uuid>| {
        super::id(column, AssetId::from_uuid(id.ok_or_else(|| format!("{column}: is missing"))?))
    };
    let text = |column: &str, text: &Option<String>| text.clone().ok_or_else(|| format!("{column}: is missing"));
    let contract = || {
        Ok::<_, String>(DerivativeAssets {
            base,
            quote: asset("quote_asset_id", row.quote_asset_id)?,
            settle: asset("settle_asset_id", row.settle_asset_id)?,
        })
    };
    let expiry = || parse("expiry", &text("expiry", &row.expiry)?);
    let protocol = || parse("protocol", &text("protocol", &row.protocol)?);
    let kind = InstrumentKind::from_name(&row.kind).ok_or_else(|| format!("kind: no value named {}", row.kind))?;
    Ok(match kind {
        InstrumentKind::Spot => Terms::Spot { base, quote: asset("quote_asset_id", row.quote_asset_id)? },
        InstrumentKind::Perpetual => Terms::Perpetual(contract()?),
        InstrumentKind::Future => Terms::Future { contract: contract()?, expiry: expiry()? },
        InstrumentKind::Option => Terms::Option {
            contract: contract()?,
            expiry: expiry()?,
            strike: parse("strike", &text("strike", &row.strike)?)?,
            option_type: named::<_, OptionType>(
                "option_type",
                &text("option_type", &row.option_type)?,
                v1::OptionType::from_str_name,
            )?,
            style: named::<_, ExerciseStyle>(
                "exercise_style",
                &text("exercise_style", &row.exercise_style)?,
                v1::ExerciseStyle::from_str_name,
            )?,
        },
        InstrumentKind::LendingDeposit => Terms::LendingDeposit { underlying: base, protocol: protocol()? },
        InstrumentKind::LendingBorrow => Terms::LendingBorrow { underlying: base, protocol: protocol()? },
    })
}
