//! Making a node: its folders, its configuration, its key.

use std::net::{Ipv4Addr, TcpListener};

use covey_crypto::SecretKey;
use covey_protocol::ids::{Name, NodeId};
use zeroize::Zeroizing;

use crate::api::{ApiError, ErrorCode, Initialised};
use crate::config::Config;
use crate::home::Home;
use crate::identity;

/// How many ports are tried before one is taken that may be in use.
const PORT_ATTEMPTS: usize = 20;

/// Makes a node in `home`. A configuration that is there already is kept.
///
/// # Errors
/// If a node lives there already, or the folders cannot be written.
pub fn init(home: &Home, name: Option<Name>) -> Result<Initialised, ApiError> {
    home.create()?;
    home.socket_path()?;
    let _lock = home.lock()?;
    if home.is_initialised() {
        let place = home.state_dir().display();
        return Err(ApiError::new(
            ErrorCode::Exists,
            format!("a node lives here already ({place})"),
        )
        .hint("`covey status` shows it; `--home DIR` makes another one elsewhere"));
    }
    let mut seed = Zeroizing::new([0; 32]);
    random(&mut seed[..])?;
    let key = SecretKey::from_seed(&seed);
    let node = NodeId::new(key.public());
    let config = match Config::load(&home.config_path()) {
        Ok(config) => config,
        Err(crate::config::ConfigError::Missing { .. }) => {
            let config = Config::new(name.unwrap_or_else(|| default_name(node)), free_port()?);
            config.save(&home.config_path())?;
            config
        }
        Err(error) => return Err(error.into()),
    };
    // Last, because its presence is what makes this a node.
    identity::create(&home.identity_path(), &key)?;
    Ok(Initialised {
        node,
        name: config.name,
        config_dir: home.config_dir().to_owned(),
        state_dir: home.state_dir().to_owned(),
        data_dir: home.data_dir().to_owned(),
        listen: config.listen.iter().map(ToString::to_string).collect(),
    })
}

/// The person's user name, or else the beginning of the node's id.
fn default_name(node: NodeId) -> Name {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().and_then(|user| user.parse().ok()));
    user.unwrap_or_else(|| node.short().parse().expect("base32 characters make a name"))
}

/// A port nobody has just now.
fn free_port() -> Result<u16, ApiError> {
    let mut port = 0;
    for _ in 0..PORT_ATTEMPTS {
        let mut bytes = [0; 8];
        random(&mut bytes)?;
        port = Config::pick_port(u64::from_le_bytes(bytes));
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            break;
        }
    }
    Ok(port)
}

fn random(bytes: &mut [u8]) -> Result<(), ApiError> {
    getrandom::fill(bytes).map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("the system gives no randomness: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_in_one_home_is_refused_and_the_first_one_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(dir.path()).expect("an absolute path");
        let made = init(&home, Some("ada".parse().expect("a name"))).expect("makes it");
        let again = init(&home, None).expect_err("is there");
        assert_eq!(again.code, ErrorCode::Exists);
        let key = identity::load(&home.identity_path()).expect("loads");
        assert_eq!(NodeId::new(key.public()), made.node);
        assert_eq!(Config::load(&home.config_path()).expect("loads").name.as_str(), "ada");
    }
}
