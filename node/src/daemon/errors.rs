//! What failures of the home, the network and the socket mean for a person.

use std::io;

use covey_net::swarm::NetError;

use crate::api::server::ServerError;
use crate::api::{ApiError, ErrorCode};
use crate::config::ConfigError;
use crate::home::HomeError;
use crate::identity::IdentityError;

impl From<HomeError> for ApiError {
    fn from(error: HomeError) -> Self {
        let code = match error {
            HomeError::Store(error) => return error.into(),
            HomeError::Nowhere { .. } | HomeError::SocketPath { .. } => ErrorCode::Usage,
            HomeError::Busy { .. } => ErrorCode::Busy,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        let code = match error {
            ConfigError::Store(error) => return error.into(),
            ConfigError::Missing { .. } => ErrorCode::NotFound,
            ConfigError::Invalid { .. } => ErrorCode::Usage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        let code = match error {
            IdentityError::Store(error) => return error.into(),
            IdentityError::Missing { .. } => ErrorCode::NotFound,
            IdentityError::TooOpen { .. } => ErrorCode::Forbidden,
        };
        Self::new(code, error.to_string())
    }
}

impl From<NetError> for ApiError {
    fn from(error: NetError) -> Self {
        let message = error.to_string();
        match error {
            NetError::AddressInUse { .. } => Self::new(ErrorCode::Busy, message)
                .hint("choose another address with --listen, or in config.toml"),
            NetError::Listen { .. } | NetError::TooMany { .. } => {
                Self::new(ErrorCode::Usage, message).hint("correct --listen, or config.toml")
            }
            NetError::Transport { .. } => Self::new(ErrorCode::Internal, message),
        }
    }
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        let message = error.to_string();
        match error {
            ServerError::Busy(_) => {
                Self::new(ErrorCode::Busy, message).hint("`covey stop` ends it")
            }
            ServerError::Io { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Self::new(ErrorCode::Busy, message)
            }
            ServerError::Io { .. } => Self::new(ErrorCode::Storage, message)
                .hint("check that the runtime folder is yours and can be written"),
        }
    }
}
