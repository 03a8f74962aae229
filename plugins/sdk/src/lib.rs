//! What plugins of every kind are written with: the manifest, settings by serde, documents, exact decimals, the host's
//! log and its look-ups.
//!
//! A plugin depends on the crate of its kind, which offers all this again, and is one file of rules, tested natively:
//! `cqar-plugin-validator`, `cqar-plugin-symbology`, `cqar-plugin-transform`. They are crates of their own because each
//! adds its world to the component that it is linked into.
//!
//! Nothing here may depend on the host: what a plugin knows of the registry is the WIT package and the documents.
//!
//! | module | subject |
//! |---|---|
//! | [`plugin`] | the manifest and the settings, which every plugin has |
//! | [`call`] | what a call belongs to |
//! | [`document`], [`decimal`] | reading the registry's JSON, and amounts, exactly |
//! | [`fields`] | reading a venue's JSON field by field |
//! | [`log`], [`registry`] | what a plugin may ask of the host |
//! | [`bindings`] | the bare WIT |

pub mod bindings;
pub mod call;
pub mod decimal;
pub mod document;
pub mod fields;
pub mod log;
pub mod plugin;
pub mod registry;
