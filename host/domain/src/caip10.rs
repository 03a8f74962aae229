//! CAIP-10: the ids of accounts on chains, contracts among them, `eip155:1:0xa0b8…`.
//!
//! `chain_id ":" account_address`, the first a CAIP-2 id, the second `[-.%a-zA-Z0-9]{1,128}`: whatever else an address has is escaped by
//! percent signs, as in CAIP-19.

use crate::{caip19::unescaped, entities::chain::is_caip2};

/// The longest address, escaped.
const MAX_ADDRESS: usize = 128;

/// A CAIP-10 id, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// The chain.
    pub caip2: &'a str,
    /// The address there, unescaped.
    pub address: String,
}

/// Why a text is no CAIP-10 id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a CAIP-10 id, chain_id:account_address, such as eip155:1:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")]
pub struct Caip10Error;

impl<'a> Account<'a> {
    /// Reads one.
    pub fn parse(text: &'a str) -> Result<Self, Caip10Error> {
        // A CAIP-2 id has one colon.
        let (caip2, address) = text.match_indices(':').nth(1).map(|(at, _)| text.split_at(at)).ok_or(Caip10Error)?;
        let address =
            address.strip_prefix(':').filter(|it| (1..=MAX_ADDRESS).contains(&it.len())).ok_or(Caip10Error)?;
        if !is_caip2(caip2) {
            return Err(Caip10Error);
        }
        Ok(Self { caip2, address: unescaped(address).ok_or(Caip10Error)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The test cases of CAIP-10.
    #[test]
    fn ids_are_read_as_the_standard_has_them() {
        for (caip2, address) in [
            ("eip155:1", "0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb"),
            ("bip122:000000000019d6689c085ae165831e93", "128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6"),
            ("cosmos:cosmoshub-3", "cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0"),
            ("polkadot:b0a8d493285c2df73290dfb7e61f870f", "5hmuyxw9xdgbpptgypokw4thfyoe3ryenebr381z9iaegmfy"),
            ("starknet:SN_GOERLI", "0x02dd1b492765c064eac4039e3841aa5f382773b598097a40073bd8b48170ab57"),
            (
                "chainstd:8c3444cf8970a9e41a706fab93e7a6c4",
                "6d9b0b4b9994e8a6afbd3dc3ed983cd51c755afb27cd1dc7825ef59c134a39f7",
            ),
            ("hedera:mainnet", "0.0.1234567890-zbhlt"),
        ] {
            let text = format!("{caip2}:{address}");
            assert_eq!(Account::parse(&text), Ok(Account { caip2, address: address.to_owned() }));
        }
        assert_eq!(Account::parse("sui:mainnet:0x2%3A%3Asui%3A%3ASUI").unwrap().address, "0x2::sui::SUI");
        for bad in [
            "",
            "eip155:1",
            "eip155:1:",
            "eip155:1:0x1:2",
            "eip155:1/0xab",
            "EIP155:1:0xab",
            "eip155:1:0x a",
            "eip155:1:%FF",
            &format!("eip155:1:{}", "a".repeat(129)),
        ] {
            assert_eq!(Account::parse(bad), Err(Caip10Error), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_a_chain_and_an_address(
            caip2 in "[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}",
            address in "[-.a-zA-Z0-9]{1,128}",
        ) {
            let text = format!("{caip2}:{address}");
            prop_assert_eq!(Account::parse(&text), Ok(Account { caip2: &caip2, address }));
        }

        /// Whatever a chain takes for an address can be said.
        #[test]
        fn every_address_can_be_escaped(address in "[ -~é₿]{1,20}") {
            let escaped = address.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
            let text = format!("near:mainnet:{escaped}");
            prop_assert_eq!(Account::parse(&text), Ok(Account { caip2: "near:mainnet", address }));
        }

        #[test]
        fn what_is_no_id_is_refused_and_never_a_panic(text in ".{0,60}") {
            if let Ok(account) = Account::parse(&text) {
                prop_assert!(is_caip2(account.caip2) && text.len() > account.caip2.len() + 1);
            }
        }
    }
}
