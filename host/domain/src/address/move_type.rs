//! Types of Move: `0x2::sui::SUI`, `0x1::coin::LP<0x1::a::B,u64>`.

/// How deep types may have types as parameters.
const MAX_DEPTH: usize = 8;

/// An address, or a type of a module of it, in one spelling: addresses in lower case, in full (64 digits), but for the sixteen smallest,
/// which are written as everyone does, `0x1` (AIP 40); without white space.
pub fn normalized(text: &str) -> Option<String> {
    let mut reader = TypeReader { rest: text, written: String::with_capacity(text.len()) };
    reader.address()?;
    if !reader.rest.is_empty() {
        reader.path()?;
        reader.parameters(0)?;
    }
    reader.rest.is_empty().then_some(reader.written)
}

/// Reads a type, and writes it as it is kept.
struct TypeReader<'a> {
    rest: &'a str,
    written: String,
}

impl TypeReader<'_> {
    fn address(&mut self) -> Option<()> {
        let after = self.rest.strip_prefix("0x").or_else(|| self.rest.strip_prefix("0X"))?;
        let length = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digits, rest) = after.split_at(length);
        if !(1..=64).contains(&length) {
            return None;
        }
        let digits = digits.to_ascii_lowercase();
        match digits.trim_start_matches('0') {
            "" => self.written.push_str("0x0"),
            small if small.len() == 1 => self.written.extend(["0x", small]),
            _ => {
                let zeros = "0".repeat(64 - length);
                self.written.extend(["0x", &zeros, &digits]);
            }
        }
        self.rest = rest;
        Some(())
    }

    /// `::module::Name`
    fn path(&mut self) -> Option<()> {
        for _ in 0..2 {
            self.rest = self.rest.strip_prefix("::")?;
            self.written.push_str("::");
            self.identifier()?;
        }
        Some(())
    }

    fn identifier(&mut self) -> Option<()> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = self.rest.bytes().take_while(word).count();
        let (name, rest) = self.rest.split_at(length);
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return None;
        }
        self.written.push_str(name);
        self.rest = rest;
        Some(())
    }

    /// Nothing, or `<type, type>`.
    fn parameters(&mut self, depth: usize) -> Option<()> {
        let Some(rest) = self.rest.strip_prefix('<') else { return Some(()) };
        if depth == MAX_DEPTH {
            return None;
        }
        self.rest = rest;
        self.written.push('<');
        loop {
            self.rest = self.rest.trim_start_matches(' ');
            self.parameter(depth)?;
            self.rest = self.rest.trim_start_matches(' ');
            let next = self.rest.chars().next().filter(|next| matches!(next, ',' | '>'))?;
            self.written.push(next);
            self.rest = self.rest.get(1..)?;
            if next == '>' {
                return Some(());
            }
        }
    }

    /// A type of a module, or one of the language's own: `u64`, `vector<u8>`.
    fn parameter(&mut self, depth: usize) -> Option<()> {
        if self.rest.starts_with('0') {
            self.address()?;
            self.path()?;
        } else {
            self.identifier()?;
        }
        self.parameters(depth + 1)
    }
}
