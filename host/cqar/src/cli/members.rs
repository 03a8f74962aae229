//! `cqar members`: the assets of a group, and their weights, shown and changed one by one.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{ChangeGroupMembersRequest, GetGroupRequest, Group, GroupMember, get_group_request::Key};

use super::{
    ClientArgs,
    apply::WriteArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    entities::{EntityCommands, Labels, Lookup, printed_name},
    error::{CliError, Exit},
    output::{self, OutputFormat},
    rows,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar members stablecoins
  cqar members majors --put BTC=0.6 --put ETH=0.4
  cqar members stablecoins --remove DAI --reason 'too small' --validate-only

Members that are not named stay as they are; `cqar update group` replaces all of them.")]
pub struct MembersArgs {
    /// The group: its id, or its name.
    group: String,
    /// An asset to put in, or whose weight to change: its id or its symbol; may be repeated.
    #[arg(long, value_name = "ASSET=WEIGHT")]
    put: Vec<String>,
    /// An asset to take out: its id or its symbol; may be repeated.
    #[arg(long, value_name = "ASSET")]
    remove: Vec<String>,
    /// Refuse unless this is the group's current etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    write: WriteArgs,
}

/// Changes the members that are named, and shows all of them.
pub async fn run(args: MembersArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let group_id = EntityCommands::of(EntityType::Group).id_of(&server, &args.group, Lookup::default()).await?;
    let group = if args.put.is_empty() && args.remove.is_empty() {
        if args.has_write_options() {
            return Err(CliError::Usage("nothing is to be changed: give --put or --remove".to_owned()));
        }
        let request = GetGroupRequest { key: Some(Key::GroupId(group_id)), ..GetGroupRequest::default() };
        server.assets().get_group(request).await?.into_inner()
    } else {
        let changed = server.assets().change_group_members(args.request(&server, group_id).await?).await?.into_inner();
        rows::warn(&changed.warnings, str::to_owned);
        changed.group.unwrap_or_default()
    };
    show(&server, group, client.format()).await
}

impl MembersArgs {
    fn has_write_options(&self) -> bool {
        let WriteArgs { validate_only, request_id, reason } = &self.write;
        *validate_only || [request_id, reason, &self.etag].into_iter().any(|text| !text.is_empty())
    }

    async fn request(self, server: &Connection, group_id: String) -> Result<ChangeGroupMembersRequest, CliError> {
        let assets = EntityCommands::of(EntityType::Asset);
        let (mut members, mut removed_asset_ids) = (Vec::new(), Vec::new());
        for text in &self.put {
            let (asset, weight) = text
                .rsplit_once('=')
                .ok_or_else(|| CliError::Usage(format!("--put {text:?} must be ASSET=WEIGHT such as BTC=0.4")))?;
            let asset_id = assets.id_of(server, asset, Lookup::default()).await?;
            members.push(GroupMember { asset_id, weight: weight.to_owned() });
        }
        for asset in &self.remove {
            removed_asset_ids.push(assets.id_of(server, asset, Lookup::default()).await?);
        }
        let WriteArgs { validate_only, request_id, reason } = self.write;
        Ok(ChangeGroupMembersRequest {
            group_id,
            members,
            removed_asset_ids,
            etag: self.etag,
            request_id,
            validate_only,
            reason,
            ..ChangeGroupMembersRequest::default()
        })
    }
}

async fn show(server: &Connection, group: Group, format: OutputFormat) -> Result<Exit, CliError> {
    if !format.print_named(&group, [printed_name(&group)])? {
        let labels = Labels::assets(server, group.members.iter().map(|it| it.asset_id.clone())).await?;
        let row = |GroupMember { asset_id, weight }| [labels.of(&asset_id), weight, asset_id];
        output::table(["ASSET", "WEIGHT", "ID"], group.members.into_iter().map(row))?;
    }
    Ok(Exit::Done)
}
