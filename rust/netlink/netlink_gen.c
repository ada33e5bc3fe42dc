// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/hmdfs.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/netlink-codegen */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include "hmdfs_netlink.h"

/* HMDFS_CMD_DEVICE_SET - do */
static const struct nla_policy hmdfs_device_set_nl_policy[HMDFS_A_DEVICE_LEVEL + 1] = {
	[HMDFS_A_DEVICE_PEER_ID] = NLA_POLICY_EXACT_LEN(HMDFS_DEVICE_ID_LEN),
	[HMDFS_A_DEVICE_NUMBER] = NLA_POLICY_RANGE(NLA_U32, 1, 4095),
	[HMDFS_A_DEVICE_NAME] = { .type = NLA_NUL_STRING, .len = HMDFS_DEVICE_NAME_MAX, },
	[HMDFS_A_DEVICE_ACCESS] = NLA_POLICY_MAX(NLA_U32, 2),
	[HMDFS_A_DEVICE_LEVEL] = NLA_POLICY_RANGE(NLA_U32, 1, 5),
};

/* HMDFS_CMD_DEVICE_DEL - do */
static const struct nla_policy hmdfs_device_del_nl_policy[HMDFS_A_DEVICE_PEER_ID + 1] = {
	[HMDFS_A_DEVICE_PEER_ID] = NLA_POLICY_EXACT_LEN(HMDFS_DEVICE_ID_LEN),
};

/* HMDFS_CMD_DEVICE_GET - do */
static const struct nla_policy hmdfs_device_get_nl_policy[HMDFS_A_DEVICE_PEER_ID + 1] = {
	[HMDFS_A_DEVICE_PEER_ID] = NLA_POLICY_EXACT_LEN(HMDFS_DEVICE_ID_LEN),
};

/* HMDFS_CMD_LINK_ADD - do */
static const struct nla_policy hmdfs_link_add_nl_policy[HMDFS_A_LINK_ROLE + 1] = {
	[HMDFS_A_LINK_PEER_ID] = NLA_POLICY_EXACT_LEN(HMDFS_DEVICE_ID_LEN),
	[HMDFS_A_LINK_SOCKFD] = NLA_POLICY_MIN(NLA_S32, 0),
	[HMDFS_A_LINK_ROLE] = NLA_POLICY_MAX(NLA_U32, 1),
};

/* HMDFS_CMD_LINK_DEL - do */
static const struct nla_policy hmdfs_link_del_nl_policy[HMDFS_A_LINK_PEER_ID + 1] = {
	[HMDFS_A_LINK_ID] = { .type = NLA_U32, },
	[HMDFS_A_LINK_PEER_ID] = NLA_POLICY_EXACT_LEN(HMDFS_DEVICE_ID_LEN),
};

/* HMDFS_CMD_LINK_GET - do */
static const struct nla_policy hmdfs_link_get_nl_policy[HMDFS_A_LINK_ID + 1] = {
	[HMDFS_A_LINK_ID] = { .type = NLA_U32, },
};

/* Ops table for hmdfs */
static const struct genl_split_ops hmdfs_nl_ops[] = {
	{
		.cmd	= HMDFS_CMD_INSTANCE_GET,
		.doit	= hmdfs_nl_instance_get_doit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= HMDFS_CMD_DEVICE_SET,
		.doit		= hmdfs_nl_device_set_doit,
		.policy		= hmdfs_device_set_nl_policy,
		.maxattr	= HMDFS_A_DEVICE_LEVEL,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= HMDFS_CMD_DEVICE_DEL,
		.doit		= hmdfs_nl_device_del_doit,
		.policy		= hmdfs_device_del_nl_policy,
		.maxattr	= HMDFS_A_DEVICE_PEER_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= HMDFS_CMD_DEVICE_GET,
		.doit		= hmdfs_nl_device_get_doit,
		.policy		= hmdfs_device_get_nl_policy,
		.maxattr	= HMDFS_A_DEVICE_PEER_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= HMDFS_CMD_DEVICE_GET,
		.dumpit	= hmdfs_nl_device_get_dumpit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= HMDFS_CMD_LINK_ADD,
		.doit		= hmdfs_nl_link_add_doit,
		.policy		= hmdfs_link_add_nl_policy,
		.maxattr	= HMDFS_A_LINK_ROLE,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= HMDFS_CMD_LINK_DEL,
		.doit		= hmdfs_nl_link_del_doit,
		.policy		= hmdfs_link_del_nl_policy,
		.maxattr	= HMDFS_A_LINK_PEER_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= HMDFS_CMD_LINK_GET,
		.doit		= hmdfs_nl_link_get_doit,
		.policy		= hmdfs_link_get_nl_policy,
		.maxattr	= HMDFS_A_LINK_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= HMDFS_CMD_LINK_GET,
		.dumpit	= hmdfs_nl_link_get_dumpit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
};

static const struct genl_multicast_group hmdfs_nl_mcgrps[] = {
	[HMDFS_NLGRP_EVENTS] = { "events", .flags = GENL_MCAST_CAP_NET_ADMIN, },
};

struct genl_family hmdfs_nl_family __ro_after_init = {
	.name		= HMDFS_FAMILY_NAME,
	.version	= HMDFS_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= hmdfs_nl_ops,
	.n_split_ops	= ARRAY_SIZE(hmdfs_nl_ops),
	.mcgrps		= hmdfs_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(hmdfs_nl_mcgrps),
};
