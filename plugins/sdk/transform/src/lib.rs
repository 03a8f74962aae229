//! Transforms: what becomes of an event on its way to the bus.
//!
//! A plugin implements [`plugin::Plugin`] and [`Transform`], and exports itself with [`export!`];
//! `transforms/route-by-venue` is one. It depends on the SDK's base alone, whose modules it shows again: [`decimal`],
//! [`document`], [`log`], [`plugin`], [`registry`].

pub mod bindings;

use std::marker::PhantomData;

pub use cqar_plugin_sdk::{call::Call, decimal, document, log, plugin, registry};
use plugin::{Failure, Plugin, Problem, Slot};

use crate::bindings::exports::cqar::plugin::{lifecycle, transform};
pub use bindings::exports::cqar::plugin::transform::{Action, Content, Event, Outgoing};

/// A plugin that passes, drops or enriches events of the entities that it subscribes to.
pub trait Transform: Plugin {
    /// What becomes of one event. [`Action::Fail`] holds the event back, `Err` the whole batch.
    fn transform(&self, call: &Call, event: &Event) -> Result<Action, Failure>;
}

/// Exports a [`Transform`] as a component.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::sdk::slot!($plugin);
            type Component = $crate::Component<$plugin>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

#[doc(hidden)]
pub use cqar_plugin_sdk as sdk;

/// A plugin as the world's exports.
#[doc(hidden)]
pub struct Component<P>(PhantomData<P>);

impl<P: Transform + Slot> lifecycle::Guest for Component<P> {
    fn describe() -> String {
        plugin::describe::<P>("transform")
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        plugin::configure::<P>(&settings)
    }
}

impl<P: Transform + Slot> transform::Guest for Component<P> {
    fn transform(call: String, events: Vec<Event>) -> Result<Vec<Action>, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| events.iter().map(|event| plugin.transform(&call, event)).collect())
    }
}
