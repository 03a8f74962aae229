//! Addresses of tokens on chains: the spellings that a chain takes for one address, and the one by which the registry has it.
//!
//! What an address looks like depends on the namespace of its chain (CAIP-2). Case is kept where it has a meaning, and checksums that are
//! part of a spelling are checked; that of EIP-55 is not, since it is in the case alone, and firms differ on it: a validator may ask for
//! it.
//!
//! | namespace | spellings | the one that is kept |
//! |---|---|---|
//! | any | `native`, the chain's own coin | the same |
//! | `eip155` | `0x` and 40 hexadecimal digits, in any case | lower case |
//! | `solana` | Base58 of 32 bytes | the same |
//! | `tron` | Base58Check (`T…`); hexadecimal, `41` and 40 digits | Base58Check |
//! | `bip122` | Base58Check; Bech32 and Bech32m (BIP 173, BIP 350), which are of one case | Bech32 in lower case |
//! | `cosmos` | a denomination; `ibc/` and a SHA-256 in any case; a contract, in Bech32 | the hash in upper case, Bech32 in lower case |
//! | `aptos`, `sui` | an address of up to 64 hexadecimal digits, or a type of a module of it, with types as parameters | see [`move_type`] |
//! | `starknet` | `0x` and up to 64 hexadecimal digits | lower case, 64 digits |
//! | others | visible ASCII without white space | the same |

mod cosmos;
pub mod move_type;

use bech32::{Bech32, Bech32m, primitives::decode::CheckedHrpstring};

/// The address of a chain's own coin.
pub const NATIVE: &str = "native";

/// The longest address, in bytes: types of Move with parameters are long.
pub const MAX_BYTES: usize = 512;

/// Why a text is no address on a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be `native` or {0}")]
pub struct AddressError(&'static str);

/// The one spelling of an address on the chain of that CAIP-2 id.
pub fn normalized(caip2: &str, address: &str) -> Result<String, AddressError> {
    if address == NATIVE {
        return Ok(NATIVE.to_owned());
    }
    let namespace = caip2.split(':').next().unwrap_or_default();
    let (spelled, expected): (fn(&str) -> Option<String>, _) = match namespace {
        "eip155" => (evm, "0x and 40 hexadecimal digits"),
        "solana" => (solana, "32 bytes in Base58"),
        "tron" => (tron, "an address in Base58Check (T…) or hexadecimal (41…)"),
        "bip122" => (bitcoin, "an address in Base58Check, Bech32 or Bech32m"),
        "cosmos" => (cosmos::denomination, "a denomination such as uatom or ibc/…, or a contract in Bech32"),
        "aptos" | "sui" => (move_type::normalized, "an address such as 0x2, or a type such as 0x2::sui::SUI"),
        "starknet" => (starknet, "0x and up to 64 hexadecimal digits"),
        _ => (visible, "1 to 512 visible ASCII characters without white space"),
    };
    Some(address).filter(|it| it.len() <= MAX_BYTES).and_then(spelled).ok_or(AddressError(expected))
}

/// The digits after `0x`.
fn hexadecimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)
}

fn evm(address: &str) -> Option<String> {
    let digits = hexadecimal(address).filter(|digits| digits.len() == 40)?;
    Some(format!("0x{}", digits.to_ascii_lowercase()))
}

fn starknet(address: &str) -> Option<String> {
    let digits = hexadecimal(address).filter(|digits| (1..=64).contains(&digits.len()))?;
    Some(format!("0x{:0>64}", digits.to_ascii_lowercase()))
}

fn solana(address: &str) -> Option<String> {
    let bytes = bs58::decode(address).into_vec().ok()?;
    (bytes.len() == 32).then(|| address.to_owned())
}

/// The version of Tron's addresses, with which they begin.
const TRON: u8 = 0x41;

fn tron(address: &str) -> Option<String> {
    let digits = hexadecimal(address).unwrap_or(address);
    let bytes = if digits.len() == 42 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        hex_bytes(digits)?
    } else {
        bs58::decode(address).with_check(None).into_vec().ok()?
    };
    (bytes.len() == 21 && bytes.first() == Some(&TRON)).then(|| bs58::encode(bytes).with_check().into_string())
}

fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The versions of these addresses take one byte, or two (Zcash), and the hash twenty.
fn bitcoin(address: &str) -> Option<String> {
    if let Some(lower) = bech32_address(address) {
        return Some(lower);
    }
    let bytes = bs58::decode(address).with_check(None).into_vec().ok()?;
    matches!(bytes.len(), 21 | 22).then(|| address.to_owned())
}

/// A text in Bech32 or Bech32m, in lower case. Mixed case is neither.
fn bech32_address(text: &str) -> Option<String> {
    let is_one = CheckedHrpstring::new::<Bech32>(text).is_ok() || CheckedHrpstring::new::<Bech32m>(text).is_ok();
    is_one.then(|| text.to_ascii_lowercase())
}

fn visible(address: &str) -> Option<String> {
    (!address.is_empty() && address.bytes().all(|byte| byte.is_ascii_graphic())).then(|| address.to_owned())
}

#[cfg(test)]
mod tests;
