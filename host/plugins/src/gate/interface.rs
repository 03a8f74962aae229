//! What a component exports, compared with the embedded WIT, and the difference shown as WIT.

use std::fmt::Write as _;

use wasmtime::component::{
    Component, ComponentNamedList, InstancePre, Lift, Lower,
    types::{ComponentFunc, ComponentInstance, ComponentItem, Type},
};

use crate::{
    kinds::{KINDS, Kind, KindRef},
    runtime::{
        bindings::cqar::plugin::types::{Failure, Problem},
        sandbox::Sandbox,
        wasi,
    },
    text::clean,
};

const WIT: &str = include_str!("../../../../wit/plugin.wit");
const PACKAGE: &str = "cqar:plugin/";
/// The newest version, which every version that is loaded is compared with.
const VERSION: &str = "0.2.0";

/// The versions of the package that this host loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageVersion {
    V0_2,
}

impl PackageVersion {
    /// The one place where it is decided which versions are spoken.
    fn of(version: &str) -> Result<Self, String> {
        match version {
            "0.2.0" => Ok(Self::V0_2),
            "0.1.0" => Err(format!("cqar:plugin@0.1.0 was never released: build the plugin against {VERSION}")),
            other => {
                Err(format!("cqar:plugin@{} is not known to this server, which speaks {VERSION}", clean(other, 64)))
            }
        }
    }
}

/// The version that a component speaks; the error says which ones this server does.
pub(crate) fn version(component: &Component) -> Result<PackageVersion, String> {
    let types = component.component_type();
    let names: Vec<_> = types.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let version = |name: &String| Some(name.strip_prefix(PACKAGE)?.split_once('@')?.1.to_owned());
    match names.iter().find_map(version) {
        Some(version) => PackageVersion::of(&version),
        None => Err(format!("no interface of cqar:plugin@{VERSION} is exported, but {}", listed(&names))),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing is exported".into() } else { names.join(", ") }
}

/// The kind whose world a component of that version is of; the error says what is missing or different.
pub(crate) fn kind(version: PackageVersion, component: &InstancePre<Sandbox>) -> Result<KindRef, String> {
    match version {
        PackageVersion::V0_2 => kind_0_2(&Exports { component }),
    }
}

fn kind_0_2(exports: &Exports<'_>) -> Result<KindRef, String> {
    let Some(kind) = KINDS.into_iter().find(|kind| exports.interface(kind.name()).is_some()) else {
        let names = KINDS.map(Kind::name).join(", ");
        return Err(format!("none of {names} of cqar:plugin@{VERSION} is exported, but {}", exports.names()));
    };
    exports.check::<(), (String,)>("lifecycle", "describe")?;
    exports.check::<(&str,), (Result<(), Vec<Problem>>,)>("lifecycle", "configure")?;
    kind.check(exports)?;
    Ok(KindRef(kind))
}

/// What a component imports that this host does not have, by name, and how to build it without; empty if there is nothing.
pub(crate) fn unknown_imports(component: &Component) -> String {
    const KNOWN: [&str; 7] = [
        "cqar:plugin/types@",
        "cqar:plugin/log@",
        "cqar:plugin/registry@",
        "wasi:io/",
        "wasi:clocks/",
        "wasi:random/",
        "wasi:cli/",
    ];
    let types = component.component_type();
    let known = |name: &str| KNOWN.iter().any(|known| name.starts_with(known)) || wasi::is_inert(name);
    let imports = types.imports(component.engine());
    let unknown: Vec<String> = imports.map(|(name, _)| name.to_owned()).filter(|name| !known(name)).collect();
    if unknown.is_empty() {
        return String::new();
    }
    let hint = |name: &String| match name.split(['/', '@']).next() {
        Some("wasi:http") => {
            "leave it out with `jco componentize --disable http`, or `componentize-js` with `disableFeatures: ['http']`"
        }
        Some("cqar:plugin") => "build the plugin against the WIT package of this server",
        _ => "build the plugin for wasm32-wasip2 without the library or feature that asks for it",
    };
    let said = unknown.iter().take(8).map(|name| format!("{} ({})", clean(name, 100), hint(name)));
    format!("it imports what this server does not have: {}", said.collect::<Vec<_>>().join("; "))
}

/// The names of what a component imports.
pub(crate) fn imports(component: &InstancePre<Sandbox>) -> Vec<String> {
    let types = component.component().component_type();
    types.imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

/// What functions of the WIT return.
pub(crate) type Answer<T> = (Result<T, Failure>,);

/// The exports of a component.
pub(crate) struct Exports<'a> {
    component: &'a InstancePre<Sandbox>,
}

impl Exports<'_> {
    fn interface(&self, name: &str) -> Option<ComponentInstance> {
        let types = self.component.component().component_type();
        let name = format!("{PACKAGE}{name}@{VERSION}");
        match types.get_export(self.component.engine(), &name)?.ty {
            ComponentItem::ComponentInstance(instance) => Some(instance),
            _ => None,
        }
    }

    /// Compares a function with what its call passes and reads.
    pub(crate) fn check<P, R>(&self, interface: &str, function: &str) -> Result<(), String>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let Some(found) = self.interface(interface) else {
            return Err(format!("cqar:plugin/{interface}@{VERSION} is not exported, but {}", self.names()));
        };
        let expected = expected(interface, function);
        match found.get_export(self.component.engine(), function).map(|it| it.ty) {
            Some(ComponentItem::ComponentFunc(found)) => {
                found.typecheck::<P, R>(&self.component.instance_type()).map_err(|error| {
                    let (found, why) = (signature(&found), error.root_cause());
                    format!("{interface}.{function} must be `{expected}` and is `{found}`: {why}")
                })
            }
            _ => Err(format!("{interface}.{function} is missing; it must be `{expected}`")),
        }
    }

    fn names(&self) -> String {
        let types = self.component.component().component_type();
        let names: Vec<_> = types.exports(self.component.engine()).map(|(name, _)| name.to_owned()).collect();
        listed(&names)
    }
}

/// The line of the embedded WIT that declares a function.
fn expected(interface: &str, function: &str) -> &'static str {
    let interface = WIT.split_once(&format!("interface {interface} {{")).map_or("", |(_, rest)| rest);
    let declaration = format!("{function}: ");
    let line = interface.lines().map(str::trim).find_map(|line| line.strip_prefix(&declaration));
    line.unwrap_or("").trim_end_matches(';')
}

fn signature(function: &ComponentFunc) -> String {
    let parameters: Vec<_> = function.params().map(|(name, ty)| format!("{name}: {}", wit(&ty))).collect();
    let mut text = format!("func({})", parameters.join(", "));
    for result in function.results() {
        // Writing to a string cannot fail.
        let _ = write!(text, " -> {}", wit(&result));
    }
    text
}

/// A type as WIT, with its records and variants written out.
fn wit(ty: &Type) -> String {
    let optional = |ty: Option<Type>| ty.map_or_else(|| "_".to_owned(), |ty| wit(&ty));
    let joined = |parts: Vec<String>| parts.join(", ");
    match ty {
        Type::Bool => "bool".into(),
        Type::S8 => "s8".into(),
        Type::U8 => "u8".into(),
        Type::S16 => "s16".into(),
        Type::U16 => "u16".into(),
        Type::S32 => "s32".into(),
        Type::U32 => "u32".into(),
        Type::S64 => "s64".into(),
        Type::U64 => "u64".into(),
        Type::Float32 => "f32".into(),
        Type::Float64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::List(it) => format!("list<{}>", wit(&it.ty())),
        Type::FixedLengthList(it) => format!("list<{}, {}>", wit(&it.ty()), it.len()),
        Type::Map(it) => format!("map<{}, {}>", wit(&it.key()), wit(&it.value())),
        Type::Option(it) => format!("option<{}>", wit(&it.ty())),
        Type::Result(it) => format!("result<{}, {}>", optional(it.ok()), optional(it.err())),
        Type::Tuple(it) => format!("tuple<{}>", joined(it.types().map(|ty| wit(&ty)).collect())),
        Type::Record(it) => {
            let fields = it.fields().map(|field| format!("{}: {}", field.name, wit(&field.ty)));
            format!("record {{ {} }}", joined(fields.collect()))
        }
        Type::Variant(it) => {
            let case =
                |name: &str, ty: Option<Type>| ty.map_or_else(|| name.to_owned(), |ty| format!("{name}({})", wit(&ty)));
            format!("variant {{ {} }}", joined(it.cases().map(|it| case(it.name, it.ty)).collect()))
        }
        Type::Enum(it) => format!("enum {{ {} }}", joined(it.names().map(str::to_owned).collect())),
        Type::Flags(it) => format!("flags {{ {} }}", joined(it.names().map(str::to_owned).collect())),
        Type::Own(_) => "own<resource>".into(),
        Type::Borrow(_) => "borrow<resource>".into(),
        Type::Future(_) => "future".into(),
        Type::Stream(_) => "stream".into(),
        Type::ErrorContext => "error-context".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_of_every_function_is_found_in_the_embedded_wit() {
        assert_eq!(expected("lifecycle", "describe"), "func() -> document");
        let validate = "func(call: document, changes: list<change>) -> result<list<finding>, failure>";
        assert_eq!(expected("validator", "validate"), validate);
        let read_listing = "func(call: document, sources: list<source>) -> result<page, failure>";
        assert_eq!(expected("listing", "read-listing"), read_listing);
        assert!(expected("transform", "transform").starts_with("func(call"));
        assert!(expected("symbology", "normalize-assets").starts_with("func(call: document, codes"));
    }

    #[test]
    fn a_released_version_never_changes() {
        let package = WIT.lines().find_map(|line| line.strip_prefix("package cqar:plugin@")).unwrap();
        assert_eq!(package, format!("{VERSION};"));
        assert_eq!(PackageVersion::of(VERSION), Ok(PackageVersion::V0_2));
        // Comments may become better.
        let declared = |wit: &str| {
            let lines = wit.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let released = include_str!("../../../../wit/released/plugin-0.2.0.wit");
        assert_eq!(declared(WIT), declared(released));
    }

    #[test]
    fn an_older_or_unknown_version_is_refused_by_name() {
        for (version, says) in [("0.1.0", "was never released: build the plugin against 0.2.0"), ("9.0.0", "not known")]
        {
            let refused = PackageVersion::of(version).unwrap_err();
            assert!(refused.contains(&format!("cqar:plugin@{version} ")) && refused.contains(says), "{refused}");
        }
    }
}
