//! Ids that others give, as far as their standards say what one looks like: check digits and forms.

/// The digits of ISO 24165: no vowels, and no `Y`.
const DTI: &[u8; 30] = b"0123456789BCDFGHJKLMNPQRSTVWXZ";
/// Bitcoin's, which was given before there was a check digit, and is in the registry as it is.
const DTI_BITCOIN: &str = "4H95J0R2X";

/// A digital token identifier (ISO 24165-1): nine digits, the last of which checks the others (ISO 7064, MOD 31,30).
pub fn is_dti(text: &str) -> bool {
    let modulus = DTI.len();
    let value = |byte: u8| DTI.iter().position(|digit| *digit == byte);
    let checked = || {
        text.bytes().try_fold(modulus, |product, byte| {
            let sum = (product + value(byte)?) % modulus;
            Some((if sum == 0 { modulus } else { sum }) * 2 % (modulus + 1))
        })
    };
    // The last digit is added, and not multiplied: the sum is 1, which twice over is 2.
    text.len() == 9 && !text.starts_with('0') && (text == DTI_BITCOIN || checked() == Some(2))
}

/// An international securities identification number (ISO 6166): a country's two letters, nine letters or digits, and a digit
/// that checks them.
pub fn is_isin(text: &str) -> bool {
    let is_well_formed = text.len() == 12
        && text.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit());
    if !is_well_formed {
        return false;
    }
    // A letter is two digits, and every second digit from the right counts twice (Luhn).
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).flat_map(decimal_digits).collect();
    let weights = [1, 2].into_iter().cycle();
    let weighed = digits.iter().rev().zip(weights).map(|(digit, weight)| digit_sum(digit * weight));
    weighed.sum::<u32>() % 10 == 0
}

/// A financial instrument global identifier (OMG FIGI 1.2): two consonants that begin no ISIN, `G`, eight consonants or digits, and
/// a digit that checks them.
pub fn is_figi(text: &str) -> bool {
    /// They would make it look like an ISIN of these countries.
    const OF_COUNTRIES: [&str; 7] = ["BS", "BM", "GG", "GB", "GH", "KY", "VG"];
    let is_consonant = |byte: u8| byte.is_ascii_uppercase() && !matches!(byte, b'A' | b'E' | b'I' | b'O' | b'U');
    let is_well_formed = text.len() == 12
        && text.bytes().take(2).all(is_consonant)
        && text.as_bytes().get(2) == Some(&b'G')
        && text.bytes().skip(3).all(|byte| is_consonant(byte) || byte.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && !OF_COUNTRIES.iter().any(|country| text.starts_with(country));
    if !is_well_formed {
        return false;
    }
    // Every second character from the left counts twice, a letter as its number from A = 10 on; the twelfth checks the others.
    let weights = [1, 2].into_iter().cycle().take(11).chain([1]);
    let weighed =
        text.chars().filter_map(|c| c.to_digit(36)).zip(weights).map(|(value, weight)| digit_sum(value * weight));
    weighed.sum::<u32>() % 10 == 0
}

/// A market identifier code (ISO 10383): four capital letters or digits.
pub fn is_mic(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn decimal_digits(value: u32) -> impl Iterator<Item = u32> {
    let tens = (value > 9).then_some(value / 10);
    tens.into_iter().chain([value % 10])
}

fn digit_sum(value: u32) -> u32 {
    value / 10 + value % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is one, and none is any more if any one of its digits is another. What Luhn's sum says of letters is less than that.
    fn are(is_one: fn(&str) -> bool, texts: &[&str]) {
        for text in texts {
            assert!(is_one(text), "{text}");
            for (place, digit) in text.char_indices().filter(|(_, digit)| digit.is_ascii_digit()) {
                for other in ('0'..='9').filter(|other| *other != digit) {
                    let mut changed = (*text).to_owned();
                    changed.replace_range(place..=place, &other.to_string());
                    assert!(!is_one(&changed), "{changed}");
                }
            }
        }
    }

    /// From the registry: bb-a-USDT, GRT.e, 1INCH.e, $HIB, ether.
    #[test]
    fn digital_tokens_have_a_check_digit_but_for_bitcoin() {
        are(is_dti, &["X9J9K872S", "9X1Z1NQG5", "3WCGMWKQM", "WGJSRNZGM", "J7KQCG93W", "44SDQ6NX0"]);
        assert!(is_dti("4H95J0R2X"));
        for bad in ["4H95J0R2Z", "x9j9k872s", "0X9J9K872", "X9J9K872", "X9J9K872SS", "Y9J9K872S", ""] {
            assert!(!is_dti(bad), "{bad}");
        }
    }

    /// From ISO 6166's annex and the registries of securities.
    #[test]
    fn securities_have_a_check_digit() {
        are(is_isin, &["US0378331005", "GB0002634946", "DE000BAY0017", "AU0000XVGZA3"]);
        for bad in ["", "US037833100", "us0378331005", "US03783310055", "1S0378331005", "US037833100X"] {
            assert!(!is_isin(bad), "{bad}");
        }
    }

    /// From the FIGI standard: IBM, Apple; and bitcoin.
    #[test]
    fn global_identifiers_have_a_check_digit() {
        are(is_figi, &["BBG000BLNNH6", "BBG000BLNQ16", "BBG000B9XRY4", "KKG000000M81"]);
        for bad in ["", "BBG000BLNNH7", "BSG000BLNNH6", "BBA000BLNNH6", "BBG000BLNNHX", "BBG000ALNNH6", "bbg000blnnh6"]
        {
            assert!(!is_figi(bad), "{bad}");
        }
    }

    #[test]
    fn markets_have_four_letters_or_digits() {
        assert!(is_mic("XNAS") && is_mic("B3X1"));
        assert!(!is_mic("xnas") && !is_mic("XNA") && !is_mic("XNASD") && !is_mic("XN S"));
    }
}
