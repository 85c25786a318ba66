import { expect, test } from 'vitest';
import { printState } from '../../../proxy/rules/print.ts';
import { RuleState } from '../../../proxy/rules/state.ts';
import { emptyTable } from '../../../model/table.ts';
import { dnsAddress, shop } from '../../unit/proxy/fixture.ts';

test.each([
  ['empty', emptyTable, 'ebpf'],
  ['shop-ebpf', shop, 'ebpf'],
  ['shop-nftables', shop, 'nftables'],
] as const)('%s', async (name, table, mode) => {
  const state = new RuleState({ nodeId: 'n1', addresses: ['192.168.50.1'], mode });
  state.update(table);
  await expect(printState(state, { dnsAddress })).toMatchFileSnapshot(`${name}.nft`);
});
