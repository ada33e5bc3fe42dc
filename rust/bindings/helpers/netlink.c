// SPDX-License-Identifier: GPL-2.0

#include <net/net_namespace.h>
#include <net/sock.h>

#include "../../netlink/netlink_gen.h"
#include "netlink.h"

int hmdfs_helper_genl_register(void)
{
	return genl_register_family(&hmdfs_nl_family);
}

void hmdfs_helper_genl_unregister(void)
{
	genl_unregister_family(&hmdfs_nl_family);
}

u8 hmdfs_helper_genl_info_command(struct genl_info *info)
{
	return info->genlhdr->cmd;
}

struct net *hmdfs_helper_genl_info_net(struct genl_info *info)
{
	return genl_info_net(info);
}

/* NULL for an attribute that is missing, or that the command does not have. */
struct nlattr *hmdfs_helper_genl_info_attribute(struct genl_info *info, u16 type)
{
	unsigned int i;

	for (i = 0; i < hmdfs_nl_family.n_split_ops; i++) {
		const struct genl_split_ops *op = &hmdfs_nl_family.split_ops[i];

		if (op->cmd == info->genlhdr->cmd && op->flags & GENL_CMD_CAP_DO)
			return info->attrs && type <= op->maxattr ?
				       info->attrs[type] : NULL;
	}
	return NULL;
}

const void *hmdfs_helper_nla_data(struct nlattr *attribute)
{
	return nla_data(attribute);
}

int hmdfs_helper_nla_len(struct nlattr *attribute)
{
	return nla_len(attribute);
}

/* The text must be static. */
void hmdfs_helper_genl_info_refuse(struct genl_info *info, const char *text,
				   struct nlattr *attribute)
{
	if (!info->extack)
		return;
	info->extack->_msg = text;
	if (attribute)
		info->extack->bad_attr = attribute;
}

struct sk_buff *hmdfs_helper_genlmsg_new(void)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
}

void hmdfs_helper_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

void *hmdfs_helper_genlmsg_iput(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_iput(skb, info);
}

void *hmdfs_helper_genlmsg_put_event(struct sk_buff *skb, u8 command)
{
	return genlmsg_put(skb, 0, 0, &hmdfs_nl_family, 0, command);
}

void *hmdfs_helper_genlmsg_put_dump(struct sk_buff *skb,
				    struct netlink_callback *cb)
{
	return __genlmsg_iput(skb, genl_info_dump(cb), NLM_F_MULTI);
}

void hmdfs_helper_genlmsg_end(struct sk_buff *skb, void *message)
{
	genlmsg_end(skb, message);
}

void hmdfs_helper_genlmsg_cancel(struct sk_buff *skb, void *message)
{
	genlmsg_cancel(skb, message);
}

int hmdfs_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

bool hmdfs_helper_genl_has_listeners(struct net *net, unsigned int group)
{
	return genl_has_listeners(&hmdfs_nl_family, net, group);
}

void hmdfs_helper_genlmsg_multicast(struct net *net, struct sk_buff *skb,
				    unsigned int group)
{
	genlmsg_multicast_netns(&hmdfs_nl_family, net, skb, 0, group,
				GFP_KERNEL);
}

int hmdfs_helper_nla_put(struct sk_buff *skb, u16 type, int length,
			 const void *data)
{
	return nla_put(skb, type, length, data);
}

int hmdfs_helper_nla_put_uint(struct sk_buff *skb, u16 type, u64 value)
{
	return nla_put_uint(skb, type, value);
}

struct nlattr *hmdfs_helper_nla_nest_start(struct sk_buff *skb, u16 type)
{
	return nla_nest_start(skb, type);
}

void hmdfs_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *nest)
{
	nla_nest_end(skb, nest);
}

u8 hmdfs_helper_netlink_dump_command(struct netlink_callback *cb)
{
	return genl_info_dump(cb)->genlhdr->cmd;
}

struct net *hmdfs_helper_netlink_dump_net(struct netlink_callback *cb)
{
	return sock_net(cb->skb->sk);
}

unsigned long hmdfs_helper_netlink_dump_state(struct netlink_callback *cb)
{
	return cb->args[0];
}

void hmdfs_helper_netlink_dump_set_state(struct netlink_callback *cb,
					 unsigned long state)
{
	cb->args[0] = state;
}
