//! Two sites, each a switch, and a line between them that can be cut, slowed down and made to lose packets.

use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    East,
    West,
}

impl Site {
    fn switch(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
        }
    }
}

/// The backbone, and how many hosts are attached.
#[derive(Debug)]
pub struct Network {
    backbone: Namespace,
    hosts: u8,
}

impl Network {
    pub fn new() -> Result<Self> {
        let backbone = Namespace::new()?;
        backbone.ip("link add east type bridge\n\
             link add west type bridge\n\
             link set east up\n\
             link set west up\n\
             link add line-east type veth peer name line-west\n\
             link set line-east master east up\n\
             link set line-west master west up\n")?;
        Ok(Self { backbone, hosts: 0 })
    }

    /// A new host at a site, and its address.
    pub fn attach(&mut self, site: Site) -> Result<(Namespace, String)> {
        self.hosts += 1;
        let host = Namespace::new()?;
        let (number, switch, path) = (self.hosts, site.switch(), host.path());
        let address = format!("10.99.0.{number}");
        self.backbone.ip(&format!(
            "link add port{number} type veth peer name cable0 netns {path}\n\
             link set port{number} master {switch} up\n"
        ))?;
        host.ip(&format!("address add {address}/24 dev cable0\nlink set cable0 up\n"))?;
        Ok((host, address))
    }

    /// Cuts the line between the sites.
    pub fn cut(&self) -> Result<()> {
        self.backbone.ip("link set line-east down\n")
    }

    pub fn heal(&self) -> Result<()> {
        self.backbone.ip("link set line-east up\n")
    }
}

/// How long a relay may take to know what another one changed.
pub const SOON: Duration = Duration::from_secs(1);
