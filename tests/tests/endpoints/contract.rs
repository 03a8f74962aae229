//! The methods of the contract, and what their messages have, as the descriptor set says it.

use cqar_proto::DESCRIPTORS;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

/// Every method of `cqar.v1`.
pub fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let of_contract = pool.services().filter(|service| service.package_name() == "cqar.v1");
    of_contract.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// Its name, such as `AssetService/CreateAsset`.
pub fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

/// The message that carries what the caller asks for: the request, or the options of a request that is a stream.
pub fn asked(method: &MethodDescriptor) -> MessageDescriptor {
    let input = method.input();
    match input.get_field_by_name("options") {
        Some(options) if method.is_client_streaming() => message_of(&options).unwrap(),
        _ => input,
    }
}

/// The message that says which revision the answer reflects: the answer, or the summary of an answer that is a stream.
pub fn answered(method: &MethodDescriptor) -> MessageDescriptor {
    let output = method.output();
    match output.get_field_by_name("summary") {
        Some(summary) if method.is_server_streaming() => message_of(&summary).unwrap(),
        _ => output,
    }
}

pub fn has(message: &MessageDescriptor, field: &str) -> bool {
    message.get_field_by_name(field).is_some()
}

pub fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

/// Whether a method changes the registry: it can be repeated.
pub fn is_write(method: &MethodDescriptor) -> bool {
    has(&asked(method), "request_id")
}

/// The place of the etag in what the caller asks for, as a JSON pointer.
pub fn etag_pointer(method: &MethodDescriptor) -> Option<String> {
    let asked = asked(method);
    if has(&asked, "etag") {
        return Some("/etag".to_owned());
    }
    if let Some(mutations) = asked.get_field_by_name("mutations") {
        return message_of(&mutations).filter(|it| has(it, "etag")).map(|_| "/mutations/0/etag".to_owned());
    }
    let updates = has(&asked, "update_mask");
    let of_entity = |field: &FieldDescriptor| message_of(field).is_some_and(|message| has(&message, "etag"));
    asked.fields().find(|field| updates && of_entity(field)).map(|field| format!("/{}/etag", field.name()))
}
