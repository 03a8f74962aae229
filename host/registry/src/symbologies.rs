//! Venues whose symbology no plugin serves: their listings cannot be imported, and none of their symbols inferred. The plugin may be dropped
//! into its directory later, so this is never an error; but it is often a slip, and nobody else would tell.

use cqar_domain::{
    entities::Entity,
    finding::{Finding, Severity},
    id::VenueId,
};
use cqar_plugins::PluginSet;
use cqar_store::{PageBounds, filters::VenueFilter};

use crate::{Registry, error::Error, plan::Plan};

/// So many venues are read at a time.
const PAGE: PageBounds = PageBounds { entities: 1000, bytes: 4 << 20 };

/// What is to be said of a plan's venues that get such a symbology: the index of the change, and the warning.
pub(crate) fn unserved(plan: &Plan, plugins: &PluginSet) -> Vec<(usize, Finding)> {
    let given = plan.changes.iter().enumerate().filter_map(|(n, change)| {
        let name = symbology(change.after.as_ref()).filter(|name| Some(*name) != symbology(change.before.as_ref()))?;
        let why = plugins.symbology(name).err()?.reason;
        let finding = Finding {
            severity: Severity::Warning,
            path: "symbology".to_owned(),
            code: "SYMBOLOGY_NOT_SERVING".to_owned(),
            message: format!(
                "the plugin {name:?} does not serve: {why}; until it does, no listing of the venue can be imported, and no symbol inferred"
            ),
            plugin: String::new(),
        };
        Some((n, finding))
    });
    given.collect()
}

/// The name of the symbology of a venue that is not deleted.
fn symbology(entity: Option<&Entity>) -> Option<&str> {
    let Some(Entity::Venue(venue)) = entity else { return None };
    Some(venue.symbology.as_str()).filter(|name| venue.meta.delete_time.is_none() && !name.is_empty())
}

impl Registry {
    /// The venues whose symbology no plugin serves now, each with the plugin's name.
    pub async fn unserved_symbologies(&self) -> Result<Vec<(VenueId, String)>, Error> {
        let plugins = self.inner.plugins.snapshot();
        let mut snapshot = self.inner.store.snapshot().await?;
        let (filter, mut after, mut unserved) = (VenueFilter::default().into(), None, Vec::new());
        loop {
            let page = snapshot.list(&filter, after.as_ref(), PAGE).await?;
            for entity in &page.entities {
                if let (Entity::Venue(venue), Some(name)) = (entity, symbology(Some(entity)))
                    && plugins.symbology(name).is_err()
                {
                    unserved.push((venue.id.clone(), name.to_owned()));
                }
            }
            after = page.next_after;
            if after.is_none() {
                return Ok(unserved);
            }
        }
    }
}
