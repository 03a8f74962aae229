//! Table `venues`.

use cqar_domain::{
    entities::venue::{Venue, VenueType},
    id::EntityType,
};
use cqar_proto::v1;

use super::{MetaRow, Table, meta_values, named, optional, parse, time_value};
use crate::{database::Value, filter::Filter, schema::Reference};

/// Which venues to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct VenueFilter {
    /// The type.
    pub venue_type: Option<VenueType>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<VenueFilter> for Filter {
    fn from(filter: VenueFilter) -> Self {
        Self::of(Venue::SCHEMA)
            .and_text("type", filter.venue_type.map(|of| v1::VenueType::from(of).as_str_name()))
            .show_deleted(filter.show_deleted)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct VenueRow {
    id: String,
    name: String,
    r#type: String,
    chain_id: Option<String>,
    protocol_address: String,
    website_url: String,
    api_endpoint: String,
    mic: String,
    symbology: String,
    is_active: bool,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for Venue {
    type Row = VenueRow;
    const NAME: &'static str = "venues";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "type",
        "chain_id",
        "protocol_address",
        "website_url",
        "api_endpoint",
        "mic",
        "symbology",
        "is_active",
        "revision",
        "create_us",
        "update_us",
        "delete_us",
    ];
    const SELECT: &'static str = "SELECT e.id, e.name, e.type, e.chain_id, e.protocol_address, e.website_url, \
        e.api_endpoint, e.mic, e.symbology, e.is_active, e.revision, e.create_us, e.update_us, e.delete_us FROM venues e";
    const REFERENCES: &'static [Reference] =
        &[Reference { column: "chain_id", target: EntityType::Chain, index: "venues_chain" }];

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Text(self.id.to_string()),
            Value::Text(self.name.clone()),
            Value::Text(v1::VenueType::from(self.venue_type).as_str_name().to_owned()),
            Value::OptText(self.chain_id.as_ref().map(ToString::to_string)),
            Value::Text(self.protocol_address.clone()),
            Value::Text(self.website_url.clone()),
            Value::Text(self.api_endpoint.clone()),
            Value::Text(self.mic.clone()),
            Value::Text(self.symbology.clone()),
            Value::Bool(self.is_active),
            revision,
            create,
            update,
            time_value(self.meta.delete_time),
        ]
    }

    fn read(row: VenueRow) -> Result<Self, String> {
        Ok(Self {
            id: parse("id", &row.id)?,
            name: row.name,
            venue_type: named("type", &row.r#type, v1::VenueType::from_str_name)?,
            chain_id: optional("chain_id", row.chain_id.as_deref())?,
            protocol_address: row.protocol_address,
            website_url: row.website_url,
            api_endpoint: row.api_endpoint,
            mic: row.mic,
            symbology: row.symbology,
            is_active: row.is_active,
            meta: row.meta.read()?,
        })
    }
}
