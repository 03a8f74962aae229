//! Certificates of one test: an authority, a server's for 127.0.0.1 and localhost, and a client's.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use tempfile::TempDir;

/// Files in PEM. Gone with their drop.
pub struct Certificates {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// The name in the client's certificate.
pub const CLIENT: &str = "certified";
/// The URI in it.
pub const CLIENT_URI: &str = "spiffe://desk/certified";

impl Certificates {
    /// New ones, of an authority that nobody else knows.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cqar-tls-").tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "cqar tests");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let this = Self { folder, authority };
        this.write("ca.pem", &this.authority.pem());
        let mut client = CertificateParams::new(Vec::new()).unwrap();
        client.distinguished_name.push(DnType::CommonName, CLIENT);
        client.subject_alt_names.push(SanType::URI(CLIENT_URI.try_into().unwrap()));
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        this.sign("client", &client);
        this.renew("server");
        this
    }

    /// Another certificate and key of a server, in files of that name.
    pub fn renew(&self, name: &str) {
        let mut server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        server.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, &server);
    }

    fn sign(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &params.signed_by(&key, &self.authority).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A file: `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its path as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// A copy of the server's key in a folder, as a server wants it: its own, and nobody else's.
    pub fn server_key_in(&self, folder: &Path, owner: Option<(u32, u32)>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let copy = folder.join("server.key");
        std::fs::copy(self.file("server.key"), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&copy, Some(uid), Some(gid)).unwrap();
        }
        copy
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.file(name);
        std::fs::write(&file, text).unwrap();
        // Servers that run as other users read them.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(self.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
