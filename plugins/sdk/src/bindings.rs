//! What every kind imports, made once of `wit/plugin.wit`, so that all kinds share its types.
#![allow(unsafe_code, missing_docs, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package cqar:plugin-sdk;
        world imports {
            import cqar:plugin/types@0.2.0;
            import cqar:plugin/log@0.2.0;
            import cqar:plugin/registry@0.2.0;
        }
    ",
    generate_all,
    additional_derives: [PartialEq, Eq],
});
