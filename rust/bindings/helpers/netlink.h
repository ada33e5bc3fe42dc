/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HMDFS_HELPERS_NETLINK_H
#define HMDFS_HELPERS_NETLINK_H

#include <net/genetlink.h>
#include <net/netlink.h>

int hmdfs_helper_genl_register(void);
void hmdfs_helper_genl_unregister(void);
u8 hmdfs_helper_genl_info_command(struct genl_info *info);
struct net *hmdfs_helper_genl_info_net(struct genl_info *info);
struct nlattr *hmdfs_helper_genl_info_attribute(struct genl_info *info, u16 type);
const void *hmdfs_helper_nla_data(struct nlattr *attribute);
int hmdfs_helper_nla_len(struct nlattr *attribute);
void hmdfs_helper_genl_info_refuse(struct genl_info *info, const char *text,
				   struct nlattr *attribute);
struct sk_buff *hmdfs_helper_genlmsg_new(void);
void hmdfs_helper_nlmsg_free(struct sk_buff *skb);
void *hmdfs_helper_genlmsg_iput(struct sk_buff *skb, struct genl_info *info);
void *hmdfs_helper_genlmsg_put_event(struct sk_buff *skb, u8 command);
void *hmdfs_helper_genlmsg_put_dump(struct sk_buff *skb,
				    struct netlink_callback *cb);
void hmdfs_helper_genlmsg_end(struct sk_buff *skb, void *message);
void hmdfs_helper_genlmsg_cancel(struct sk_buff *skb, void *message);
int hmdfs_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info);
bool hmdfs_helper_genl_has_listeners(struct net *net, unsigned int group);
void hmdfs_helper_genlmsg_multicast(struct net *net, struct sk_buff *skb,
				    unsigned int group);
int hmdfs_helper_nla_put(struct sk_buff *skb, u16 type, int length,
			 const void *data);
int hmdfs_helper_nla_put_uint(struct sk_buff *skb, u16 type, u64 value);
struct nlattr *hmdfs_helper_nla_nest_start(struct sk_buff *skb, u16 type);
void hmdfs_helper_nla_nest_end(struct sk_buff *skb, struct nlattr *nest);
u8 hmdfs_helper_netlink_dump_command(struct netlink_callback *cb);
struct net *hmdfs_helper_netlink_dump_net(struct netlink_callback *cb);
unsigned long hmdfs_helper_netlink_dump_state(struct netlink_callback *cb);
void hmdfs_helper_netlink_dump_set_state(struct netlink_callback *cb,
					 unsigned long state);

#endif /* HMDFS_HELPERS_NETLINK_H */
