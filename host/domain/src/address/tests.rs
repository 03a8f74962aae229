use proptest::prelude::*;

use super::*;

/// Of `caip2`: each spelling, and what is kept.
fn are_kept(caip2: &str, spellings: &[(&str, &str)]) {
    for (spelling, kept) in spellings {
        assert_eq!(normalized(caip2, spelling).as_deref(), Ok(*kept), "{caip2} {spelling}");
        assert_eq!(normalized(caip2, kept).as_deref(), Ok(*kept), "what is kept is kept");
    }
}

fn are_refused(caip2: &str, texts: &[&str]) {
    for text in texts {
        assert!(normalized(caip2, text).is_err(), "{caip2} {text}");
    }
}

/// The namespaces' own documents (CASA): eip155/caip10 and caip19.
#[test]
fn addresses_of_ethereum_are_of_any_case() {
    are_kept(
        "eip155:1",
        &[
            ("native", "native"),
            ("0x22227A31dd842196A246d8f3b775998560eAa61d", "0x22227a31dd842196a246d8f3b775998560eaa61d"),
            ("0x22227a31dd842196a246d8f3b775998560eaa61d", "0x22227a31dd842196a246d8f3b775998560eaa61d"),
            ("0x0495766CD136138FC492DD499B8DC87A92D6685B", "0x0495766cd136138fc492dd499b8dc87a92d6685b"),
            ("0x06012c8cf97BEaD5deAe237070F9587f8E7A266d", "0x06012c8cf97bead5deae237070f9587f8e7a266d"),
        ],
    );
    are_refused(
        "eip155:1",
        &[
            "",
            "Native",
            "22227A31dd842196A246d8f3b775998560eAa61d",
            "0x22227A31dd842196A246d8f3b775998560eAa61",
            "0x22227A31dd842196A246d8f3b775998560eAa61dd",
            "0x22227A31dd842196A246d8f3b775998560eAa61g",
            " 0x22227A31dd842196A246d8f3b775998560eAa61d",
        ],
    );
}

/// solana/caip10, caip19.
#[test]
fn addresses_of_solana_are_32_bytes() {
    for mint in [
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv",
        "6LmSRCiu3z6NCSpF19oz1pHXkYkN4jWbj9K1nVELpDkT",
        "11111111111111111111111111111111",
    ] {
        are_kept("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", &[(mint, mint)]);
    }
    are_refused(
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        &[
            "epjfwdd5aufqssqem2qn1xzybapc8g4weggkzwytdt1v",
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt10",
            "1111111111111111111111111111111",
            "111111111111111111111111111111111",
        ],
    );
}

/// USDT's contract, in both spellings of Tron's own documents.
#[test]
fn addresses_of_tron_have_two_spellings() {
    const USDT: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
    are_kept(
        "tron:0x2b6653dc",
        &[
            (USDT, USDT),
            ("41a614f803b6fd780986a42c78ec9c7f77e6ded13c", USDT),
            ("41A614F803B6FD780986A42C78EC9C7F77E6DED13C", USDT),
            ("0x41a614f803b6fd780986a42c78ec9c7f77e6ded13c", USDT),
        ],
    );
    are_refused(
        "tron:0x2b6653dc",
        &[
            "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T",
            "tr7nhqjekqxgtci8q8zy4pl8otszgjlj6t",
            "42a614f803b6fd780986a42c78ec9c7f77e6ded13c",
            "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c",
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        ],
    );
}

/// bip122/caip10, BIP 173, BIP 350.
#[test]
fn addresses_of_bitcoin_and_its_kin_have_checksums() {
    are_kept(
        "bip122:000000000019d6689c085ae165831e93",
        &[
            ("35PBEaofpUeH8VnnNSorM1QZsadrZoQp4N", "35PBEaofpUeH8VnnNSorM1QZsadrZoQp4N"),
            ("bc1qwz2lhc40s8ty3l5jg3plpve3y3l82x9l42q7fk", "bc1qwz2lhc40s8ty3l5jg3plpve3y3l82x9l42q7fk"),
            ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            (
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            ),
            ("DBcZSePDaMMduBMLymWHXhkE5ArFEvkagU", "DBcZSePDaMMduBMLymWHXhkE5ArFEvkagU"),
            ("ltc1q8c6fshw2dlwun7ekn9qwf37cu2rn755u9ym7p0", "ltc1q8c6fshw2dlwun7ekn9qwf37cu2rn755u9ym7p0"),
        ],
    );
    are_refused(
        "bip122:000000000019d6689c085ae165831e93",
        &[
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "bc1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "35PBEaofpUeH8VnnNSorM1QZsadrZoQp4M",
            "omni",
        ],
    );
}

#[test]
fn denominations_of_cosmos_keep_their_case_and_hashes_have_one() {
    const IBC: &str = "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2";
    let lower = IBC.to_ascii_lowercase();
    are_kept(
        "cosmos:osmosis-1",
        &[
            ("uatom", "uatom"),
            (IBC, IBC),
            (&lower, IBC),
            ("gamm/pool/1", "gamm/pool/1"),
            (
                "factory/osmo1z6r6qdknhgsc0zeracktgpcxf43j6sekq07nw8sxduc9lg0qjjlqfu25e3/alloyed/allBTC",
                "factory/osmo1z6r6qdknhgsc0zeracktgpcxf43j6sekq07nw8sxduc9lg0qjjlqfu25e3/alloyed/allBTC",
            ),
            ("A12UEL5L", "a12uel5l"),
        ],
    );
    are_refused(
        "cosmos:osmosis-1",
        &["", "ab", "1inch", "ibc/27394FB0", &format!("{IBC}0"), "u atom", &"u".repeat(129)],
    );
}

#[test]
fn types_of_move_have_one_spelling() {
    const SHORT: &str = "0xdba34672e30cb065b1f93e3ab55318768fd6fef66c15942c9f7cb846e2f900e7::usdc::USDC";
    are_kept(
        "sui:mainnet",
        &[
            ("0x2::sui::SUI", "0x2::sui::SUI"),
            ("0x0000000000000000000000000000000000000000000000000000000000000002::sui::SUI", "0x2::sui::SUI"),
            ("0x0", "0x0"),
            (SHORT, SHORT),
            (&SHORT.replacen("0xdba3", "0xDBA3", 1), SHORT),
            ("0xAB::a::B", "0x00000000000000000000000000000000000000000000000000000000000000ab::a::B"),
            ("0x1::coin::LP<0x01::a::B, vector<u8>>", "0x1::coin::LP<0x1::a::B,vector<u8>>"),
            ("0x1::coin::LP< 0x1::a::B<u64> ,u64 >", "0x1::coin::LP<0x1::a::B<u64>,u64>"),
        ],
    );
    let deep = |depth: usize| format!("0x1::a::B{}u8{}", "<vector".repeat(depth), ">".repeat(depth));
    assert!(normalized("aptos:1", &deep(2).replacen("vectoru8", "u8", 1)).is_ok());
    are_refused(
        "aptos:1",
        &[
            "2::sui::SUI",
            "0x::sui::SUI",
            "0x2::sui",
            "0x2::sui::",
            "0x2::sui::SUI::X",
            "0x2:: sui::SUI",
            "0x2::sui::1SUI",
            "0x2::a::B<",
            "0x2::a::B<>",
            "0x2::a::B<u8",
            "0x2::a::B<u8>>",
            "0x2::a::B<é>",
            &format!("0x{}", "1".repeat(65)),
            &deep(200),
        ],
    );
}

/// starknet/caip10.
#[test]
fn others_are_as_they_are_written() {
    are_kept(
        "starknet:SN_MAIN",
        &[
            (
                "0x02DdfB499765c064eaC5039E3841AA5f382E73B598097a40073BD8B48170Ab57",
                "0x02ddfb499765c064eac5039e3841aa5f382e73b598097a40073bd8b48170ab57",
            ),
            (
                "0x2DdfB499765c064eaC5039E3841AA5f382E73B598097a40073BD8B48170Ab57",
                "0x02ddfb499765c064eac5039e3841aa5f382e73b598097a40073bd8b48170ab57",
            ),
        ],
    );
    for (caip2, address) in [
        ("stellar:pubnet", "USDC-GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN"),
        ("xrpl:0", "RLUSD.rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De"),
        ("hedera:mainnet", "0.0.278981"),
    ] {
        are_kept(caip2, &[(address, address)]);
    }
    are_refused("stellar:pubnet", &["", "a b", "é", "a\0b", &"x".repeat(513)]);
}

proptest! {
    #[test]
    fn what_is_kept_is_kept(
        namespace in prop::sample::select(vec!["eip155", "solana", "tron", "bip122", "cosmos", "aptos", "starknet", "near"]),
        text in r"(0x)?[0-9a-zA-Z:<>, /.]{0,80}",
    ) {
        let caip2 = format!("{namespace}:1");
        if let Ok(kept) = normalized(&caip2, &text) {
            prop_assert_eq!(normalized(&caip2, &kept), Ok(kept));
        }
    }

    #[test]
    fn every_address_of_tron_has_both_spellings(hash in proptest::array::uniform20(any::<u8>())) {
        let bytes: Vec<u8> = std::iter::once(TRON).chain(hash).collect();
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        let kept = bs58::encode(&bytes).with_check().into_string();
        prop_assert!(kept.starts_with('T'));
        prop_assert_eq!(normalized("tron:1", &digits), Ok(kept.clone()));
        prop_assert_eq!(normalized("tron:1", &kept), Ok(kept));
    }
}
