//! CAIP-19: the ids of assets on chains, `eip155:1/erc20:0xa0b8…`.
//!
//! `chain_id "/" asset_namespace ":" asset_reference`, the first a CAIP-2 id, the second `[-a-z0-9]{3,8}`, the third
//! `[-.%a-zA-Z0-9]{1,128}`: whatever else an address has is escaped by percent signs (RFC 3986), with capital digits.
//!
//! | standard | namespace | who says so |
//! |---|---|---|
//! | a chain's own coin | `slip44` | CAIP-20 |
//! | ERC-20, BEP-20; ERC-721; ERC-1155 | `erc20`, `erc721`, `erc1155` | the namespace `eip155` of CASA, CAIP-21, CAIP-22 |
//! | SPL | `token` | the namespace `solana` |
//! | TRC-20, CW-20 | `trc20`, `cw20` | by the same pattern |
//! | denominations, types of Move | `denom`, `coin` | by the same pattern |
//! | others | `token` | as most namespaces call what is fungible |

use std::fmt::Write as _;

use crate::{
    address::{self, NATIVE},
    entities::{chain::is_caip2, deployment::TokenStandard},
};

/// The longest reference, escaped.
const MAX_REFERENCE: usize = 128;
/// The longest id of a token.
const MAX_TOKEN: usize = 78;
const SLIP44: &str = "slip44";

/// A CAIP-19 id of a type of asset, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetType<'a> {
    /// The chain.
    pub caip2: &'a str,
    /// What sort of asset it is.
    pub namespace: &'a str,
    /// Its address there, unescaped.
    pub reference: String,
}

/// Why a text is no CAIP-19 id of a type of asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a CAIP-19 id, chain_id/asset_namespace:asset_reference, such as eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
)]
pub struct Caip19Error;

impl<'a> AssetType<'a> {
    /// Reads one. An id of one token of a collection (`…/771769`) is none of a type.
    pub fn parse(text: &'a str) -> Result<Self, Caip19Error> {
        let (caip2, asset) = text.split_once('/').ok_or(Caip19Error)?;
        let (namespace, reference) = asset.split_once(':').ok_or(Caip19Error)?;
        let is_namespace = (3..=8).contains(&namespace.len())
            && namespace.bytes().all(|byte| matches!(byte, b'-' | b'a'..=b'z' | b'0'..=b'9'));
        if !is_caip2(caip2) || !is_namespace || !(1..=MAX_REFERENCE).contains(&reference.len()) {
            return Err(Caip19Error);
        }
        Ok(Self { caip2, namespace, reference: unescaped(reference).ok_or(Caip19Error)? })
    }

    /// Whether it names a chain's own coin.
    pub fn is_native(&self) -> bool {
        self.namespace == SLIP44
    }
}

/// The id of what is at an address of a chain, which is in the spelling that is kept; none of a chain's own coin whose coin type is not
/// known, and of an address that is longer than ids have room for.
pub fn of(caip2: &str, standard: TokenStandard, address: &str, slip44: Option<u32>) -> Option<String> {
    let reference = match (address, slip44) {
        (NATIVE, Some(coin)) => coin.to_string(),
        (NATIVE, None) => return None,
        (address, _) => escaped(address),
    };
    let namespace = namespace(standard);
    (reference.len() <= MAX_REFERENCE).then(|| format!("{caip2}/{namespace}:{reference}"))
}

/// The id, of a type of asset or of one token of a collection (`…/771769`), with its address in the spelling that is kept. None of what is
/// no id, or has no address of its chain.
pub fn normalized(text: &str) -> Option<String> {
    let begins_at = text.find('/')? + 1;
    let (of_type, token) = match text.get(begins_at..)?.split_once('/') {
        Some((asset, token)) => (text.get(..begins_at + asset.len())?, Some(token)),
        None => (text, None),
    };
    let id = AssetType::parse(of_type).ok()?;
    let is_token =
        |token: &str| (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|it| is_plain(it) || it == b'%');
    if token.is_some_and(|token| !is_token(token)) {
        return None;
    }
    let address = if id.is_native() { id.reference } else { address::normalized(id.caip2, &id.reference).ok()? };
    let address = escaped(&address);
    let token = token.map(|token| format!("/{token}")).unwrap_or_default();
    (address.len() <= MAX_REFERENCE).then(|| format!("{}/{}:{address}{token}", id.caip2, id.namespace))
}

/// The namespace of a standard.
pub const fn namespace(standard: TokenStandard) -> &'static str {
    match standard {
        TokenStandard::Native => SLIP44,
        TokenStandard::Erc20 | TokenStandard::Bep20 => "erc20",
        TokenStandard::Erc721 => "erc721",
        TokenStandard::Erc1155 => "erc1155",
        TokenStandard::Trc20 => "trc20",
        TokenStandard::Cw20 => "cw20",
        TokenStandard::Denom => "denom",
        TokenStandard::MoveCoin => "coin",
        TokenStandard::Spl | TokenStandard::Other => "token",
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

fn escaped(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    for byte in address.bytes() {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

pub(crate) fn unescaped(reference: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(reference.len());
    let mut rest = reference.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                after
            }
            (byte, after) if is_plain(*byte) => {
                bytes.push(*byte);
                after
            }
            _ => return None,
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of CAIP-19, CAIP-20, and of the namespaces eip155, solana and hedera.
    #[test]
    fn ids_are_read_as_the_standards_have_them() {
        for (text, caip2, namespace, reference) in [
            ("eip155:1/slip44:60", "eip155:1", "slip44", "60"),
            (
                "bip122:000000000019d6689c085ae165831e93/slip44:0",
                "bip122:000000000019d6689c085ae165831e93",
                "slip44",
                "0",
            ),
            ("cosmos:cosmoshub-3/slip44:118", "cosmos:cosmoshub-3", "slip44", "118"),
            (
                "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f",
                "eip155:1",
                "erc20",
                "0x6b175474e89094c44da98b954eedeac495271d0f",
            ),
            (
                "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
                "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
                "token",
                "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            ),
            ("hedera:mainnet/token:0.0.278981", "hedera:mainnet", "token", "0.0.278981"),
            (
                "cosmos:osmosis-1/denom:ibc%2F27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2",
                "cosmos:osmosis-1",
                "denom",
                "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2",
            ),
            ("sui:mainnet/coin:0x2%3A%3Asui%3a%3ASUI", "sui:mainnet", "coin", "0x2::sui::SUI"),
        ] {
            assert_eq!(
                AssetType::parse(text),
                Ok(AssetType { caip2, namespace, reference: reference.into() }),
                "{text}"
            );
        }
        for bad in [
            "",
            "eip155:1",
            "eip155:1/erc20",
            "eip155:1/erc20:",
            "eip155/erc20:0x00",
            "eip155:1/ERC20:0x00",
            "eip155:1/er:0x00",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
            "cosmos:osmosis-1/denom:ibc/2739",
            "cosmos:osmosis-1/denom:ibc%2",
            "cosmos:osmosis-1/denom:ibc%GG",
            "cosmos:osmosis-1/denom:%FF",
            "eip155:1/erc20:0x00 ",
            &format!("eip155:1/token:{}", "a".repeat(129)),
        ] {
            assert_eq!(AssetType::parse(bad), Err(Caip19Error), "{bad}");
        }
    }

    #[test]
    fn ids_follow_from_deployments() {
        let usdc = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
        assert_eq!(of("eip155:1", TokenStandard::Erc20, usdc, None).unwrap(), format!("eip155:1/erc20:{usdc}"));
        assert_eq!(of("eip155:1", TokenStandard::Native, NATIVE, Some(60)).unwrap(), "eip155:1/slip44:60");
        assert_eq!(of("eip155:1", TokenStandard::Native, NATIVE, None), None);
        assert_eq!(
            of("sui:mainnet", TokenStandard::MoveCoin, "0x2::sui::SUI", None).unwrap(),
            "sui:mainnet/coin:0x2%3A%3Asui%3A%3ASUI"
        );
        assert_eq!(
            of("aptos:1", TokenStandard::MoveCoin, &"a".repeat(129), None),
            None,
            "longer than there is room for"
        );
    }

    #[test]
    fn one_id_has_one_spelling() {
        for (spelled, kept) in [
            (
                "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F",
                "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f",
            ),
            (
                "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
                "eip155:1/erc721:0x06012c8cf97bead5deae237070f9587f8e7a266d/771769",
            ),
            ("eip155:1/slip44:60", "eip155:1/slip44:60"),
            ("sui:mainnet/coin:0x2%3a%3asui%3A%3ASUI", "sui:mainnet/coin:0x2%3A%3Asui%3A%3ASUI"),
        ] {
            assert_eq!(normalized(spelled).as_deref(), Some(kept));
            assert_eq!(normalized(kept).as_deref(), Some(kept), "what is kept is kept");
        }
        for bad in [
            "",
            "eip155:1",
            "eip155:1/erc20:0x12",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/1/2",
        ] {
            assert_eq!(normalized(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(address in r"[!-~]{1,40}") {
            prop_assume!(address != NATIVE);
            if let Some(id) = of("near:mainnet", TokenStandard::Other, &address, None) {
                prop_assert_eq!(AssetType::parse(&id).unwrap().reference, address);
            }
        }
    }
}
